"""What people type and paste as addresses is read as they mean it, or refused in words that say what to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.compose.letters import as_typed, read_mailboxes
from messaging.intake.addresses import Mailbox
from messaging.intake.errors import BadAddress
from messaging.intake.typed_addresses import one

A, B, J, R = "a@x.example", "b@x.example", "j@x.example", "r@x.example"
JOHN, JANE = Mailbox("Doe, John", J), Mailbox("Roe, Jane", R)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        # Names with commas, as Outlook copies them
        (f"Doe, John <{J}>; Roe, Jane <{R}>", [JOHN, JANE]),
        (f"Doe, John <{J}>;Roe, Jane <{R}>;", [JOHN, JANE]),
        (f"Doe, John <{J}>", [JOHN]),
        (f"Doe, John <{J}>, Roe, Jane <{R}>", [JOHN, JANE]),
        (f"Doe, John <{J}>\r\nRoe, Jane <{R}>", [JOHN, JANE]),
        (f"Doe, John <{J}> Roe, Jane <{R}>", [JOHN, JANE]),
        (f'"Doe, John" <{J}>; {A}', [JOHN, Mailbox("", A)]),
        (f"“Doe, John” <{J}>", [JOHN]),
        (f"'Doe, John' <{J}>", [JOHN]),
        (f"von der Heide, Dr. Anna <{A}>, {B}", [Mailbox("von der Heide, Dr. Anna", A), Mailbox("", B)]),
        (f"Doe, John, Dr. <{J}>", [Mailbox("Doe, John, Dr.", J)]),
        # Separators
        (f"{A},{B}", [Mailbox("", A), Mailbox("", B)]),
        (f" {A} ;; {B} , ", [Mailbox("", A), Mailbox("", B)]),
        (f"{A}\n\n{B}\r", [Mailbox("", A), Mailbox("", B)]),
        (f"{A}\t{B}", [Mailbox("", A), Mailbox("", B)]),
        (f"{A} {B}", [Mailbox("", A), Mailbox("", B)]),
        (f"{A}，{B}；", [Mailbox("", A), Mailbox("", B)]),
        (f"John Doe\t{J}\nJane Roe\t{R}\n", [Mailbox("John Doe", J), Mailbox("Jane Roe", R)]),
        (f"{J}\tJohn Doe\r\n{R}\tJane Roe", [Mailbox("John Doe", J), Mailbox("Jane Roe", R)]),
        (f"John\tDoe\t{J}\nJane\tRoe\t{R}", [Mailbox("John Doe", J), Mailbox("Jane Roe", R)]),
        (f"اسم <{A}>، سلمى <{B}>؛ {J}", [Mailbox("اسم", A), Mailbox("سلمى", B), Mailbox("", J)]),
        (f"<{A}> <{B}>", [Mailbox("", A), Mailbox("", B)]),
        # Wrapped
        (f"<{A}>", [Mailbox("", A)]),
        (f"<<{A}>>", [Mailbox("", A)]),
        (f'"{A}"', [Mailbox("", A)]),
        (f"'{A}'", [Mailbox("", A)]),
        (f"“{A}”", [Mailbox("", A)]),
        ('"info@s.example <info@s.example>"', [Mailbox("", "info@s.example")]),
        (f'"Doe, John <{J}>"', [JOHN]),
        (f'"{A}, {B}"', [Mailbox("", A), Mailbox("", B)]),
        (f"{A} <{A}>", [Mailbox("", A)]),
        (f"'{A}' <{A}>", [Mailbox("", A)]),
        (f'"{B}" <{A}>', [Mailbox(B, A)]),
        (f"'{B}' <{A}>", [Mailbox(B, A)]),
        (f"“{B}” <{A}>", [Mailbox(B, A)]),
        (f'"Ann, once {B}" <{A}>', [Mailbox(f"Ann, once {B}", A)]),
        (f"Ann ({A}) <{A}>", [Mailbox(f"Ann ({A})", A)]),
        (f"Ann @ Home <{A}>, @team <{B}>", [Mailbox("Ann @ Home", A), Mailbox("@team", B)]),
        (f"<{B}> Ann <{A}>", [Mailbox("", B), Mailbox("Ann", A)]),
        (f"mailto:{A}", [Mailbox("", A)]),
        (f"MAILTO:{A}?subject=Hello", [Mailbox("", A)]),
        (f"mailto:{A}?subject=to%20be%20sent&body=cc", [Mailbox("", A)]),
        (f"Ann <mailto:{A}>", [Mailbox("Ann", A)]),
        (f"SMTP:{A}", [Mailbox("", A)]),
        (f"John Doe [mailto:{J}]", [Mailbox("John Doe", J)]),
        (f"Doe, John [{J}]; {A}", [JOHN, Mailbox("", A)]),
        (f"John Doe ({J})", [Mailbox("John Doe", J)]),
        (f"Doe, John ({J}), {A}", [JOHN, Mailbox("", A)]),
        (f"({A})", [Mailbox("", A)]),
        (f"{A}.", [Mailbox("", A)]),
        # Blanks that no one sees
        (f"\ufeff{A}\u200b", [Mailbox("", A)]),
        (f"John\u00a0Doe\u00a0<{J}>", [Mailbox("John Doe", J)]),
        ("a\u200b@x.example\u00a0", [Mailbox("", A)]),
        ("\u202aa@x.example\u202c", [Mailbox("", A)]),
        ("a＠x.example", [Mailbox("", A)]),
        # As before
        (f"{A} (Ann)", [Mailbox("Ann", A)]),
        (f"Ann (Sales) <{A}>", [Mailbox("Ann (Sales)", A)]),
        (f'Dr. "Bob" O’Neil <{B}>', [Mailbox("Dr. Bob O’Neil", B)]),
        (f"ООО «Ромашка» <{A}>", [Mailbox("ООО «Ромашка»", A)]),
        ("=?utf-8?q?B=C3=B6b?= <b@x.example>", [Mailbox("Böb", B)]),
        (f"Team: {A}, Ben <{B}>; {J}", [Mailbox("", A), Mailbox("Ben", B), Mailbox("", J)]),
        ('"j d"@x.example, "a,b"@x.example', [Mailbox("", '"j d"@x.example'), Mailbox("", '"a,b"@x.example')]),
        ('Q <"a,b"@x.example>', [Mailbox("Q", '"a,b"@x.example')]),
        ("a@[192.0.2.1]; b@[IPv6:2001:db8::1]", [Mailbox("", "a@[192.0.2.1]"), Mailbox("", "b@[IPv6:2001:db8::1]")]),
        ("a@xn--i-7iq.example, b@ab--cd.example",
         [Mailbox("", "a@xn--i-7iq.example"), Mailbox("", "b@ab--cd.example")]),
        (" \r\n ", []),
    ],
)  # fmt: skip
def test_it_is_read_as_it_is_meant(typed, found):
    assert read_mailboxes(typed) == found
    assert read_mailboxes(as_typed(found)) == found


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("ann", "“ann” is not a valid email address"),
        (f"ann, bob <{B}>", "“ann”"),  # who is it: a name, or someone whose address is missing?
        (f"{A}, ann", "“ann”"),
        (f"Doe; John <{J}>", "“Doe”"),
        (f"Doe, {J}", "“Doe”"),
        (f"John Doe {J}", f"<{J}>"),
        (f'"John <{J}>', "quotation mark"),
        (f"John <{J}", "angle bracket"),
        ("John <>", "empty"),
        ("undisclosed-recipients:;", "is not an address"),
        (f"{A}\r\nBcc: {B}", "line break"),
        (f'"x\r\nBcc: {B}" <{A}>', "line break"),
        (f"{A}\0", "control character"),
        ("a@b@x.example", "a@b@x.example"),
        ("a@x..example", "a@x..example"),
        ("a@\\x.example", r"“a@\x.example”"),
    ],
)
def test_what_cannot_be_read_is_refused_and_named(typed, words):
    with pytest.raises(BadAddress) as refusal:
        read_mailboxes(typed)
    assert words in str(refusal.value)
    assert "comma" not in str(refusal.value) or "," in typed


@pytest.mark.parametrize(
    "typed",
    [
        f"{A} Bob <{B}>",
        f"{A} Bob Roe <{B}>, {J}",
        f"{J}; {A} Bob <{B}>",
        f"Ann {A} <{B}>",
        f"{A} {J} <{B}>",
        f"mailto:{A} Bob <{B}>",
        f"{A}: Bob <{B}>",
        f"{A}|Bob <{B}>",
        f"{A}/Bob [{B}]",
        f"Bob, {A} Roe <{B}>",
        f'"{A}" Bob <{B}>',
        f"'{A}' Bob <{B}>",
        f"“{A}” Bob <{B}>",
        f'Bob "{A}" <{B}>',
        f"{A} <{B}>",
        f"{B} {A} <{A}>",
        f"({A}) Bob <{B}>",
        f"Ann ({A}) Bob <{B}>",
        f"Ann ({A} Bob) <{B}>",
        f"Bob <{B}> ({A})",
        f"{B} ({A})",
        f"({A}) {B}",
        f"Bob ({B}) ({A})",
        f"Bob ({B}) {A}",
        f"{B} (Bob) ({A})",
        f'"{A} Bob <{B}>"',
    ],
)
def test_address_beside_another_is_no_name_that_no_one_misses(typed):
    with pytest.raises(BadAddress) as refusal:
        read_mailboxes(typed)
    assert f"{A}" in str(refusal.value) and "angle brackets" in str(refusal.value)


@pytest.mark.parametrize(
    "typed", [f"{A}?cc={B}", f"{A}?subject=x&bcc={B}", f"{A}?to={B}", f"{A}?subject=x&amp=1&CC={B}"]
)
@pytest.mark.parametrize(
    "form", ["mailto:{}", "Ann <mailto:{}>", "Ann [mailto:{}]", "<mailto:{}>", "mailto:{}, j@x.example"]
)
def test_address_of_a_link_that_names_others_is_refused(form, typed):
    with pytest.raises(BadAddress, match=f"Enter each address alone: {A}"):
        read_mailboxes(form.format(typed))


def test_a_field_for_one_address_takes_one():
    assert one(f"<{A}>") == one(f"mailto:{A} ") == one(f'"{A} <{A}>"') == one(f"\u200b{A}\u00a0") == A
    for typed in (f"{A}, {B}", f"Office <{A}>", f"list: {A};", "", "office"):
        with pytest.raises(BadAddress):
            one(typed)


PIECES = [
    "Ada",
    "Zoë",
    "Bo B",
    f"({A})",
    f"[{A}]",
    f"<{A}>",
    A,
    ",",
    ";",
    ":",
    '"',
    "<",
    ">",
    "(",
    ")",
    "[",
    "]",
    "\\",
    "@",
    "\n",
    "\t",
    "“",
    "'",
]


@given(st.lists(st.sampled_from([*PIECES, " ", "mailto:"]), max_size=12).map("".join) | st.text(max_size=30))
def test_anything_is_read_or_refused_and_reads_the_same_again(typed):
    try:
        found = read_mailboxes(typed)
    except BadAddress:
        return
    assert read_mailboxes(as_typed(found)) == found


NAMES = st.text("ABCdé ,;.:<>()@\"'’\\", max_size=12).map(lambda name: " ".join(name.split()))


@given(st.lists(st.builds(Mailbox, NAMES, st.sampled_from([A, B, J])), min_size=1, max_size=5))
def test_whom_a_form_shows_it_reads(mailboxes):
    shown = as_typed(mailboxes)
    assert [each.address for each in read_mailboxes(shown)] == [each.address for each in mailboxes]


HOSTILE = [
    '"',
    "<",
    "(",
    "[",
    ">",
    ":",
    "“",
    "a, ",
    "a@",
    "a@b:",
    '"\\',
    '<"',
    '"(',
    "([",
    "'",
    "\\",
    f"D, J <{J}>",
    f"{A}, ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_what_is_hostile_is_read_or_refused_like_anything(piece):
    try:
        read_mailboxes(piece * (20_001 // len(piece)))
    except BadAddress as refusal:
        assert len(str(refusal)) < 400
