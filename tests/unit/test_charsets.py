"""Octets as text: by the label as browsers have it, and sensibly where the label is missing or wrong."""

import re
from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.content import charsets
from messaging.content.charsets import read, read_header

SCRIPTS = {
    "Grüße — 20 €": ["windows-1252", "iso-8859-1", "latin1", "cp1252", "utf8", "UTF-8", "unicode-1-1-utf-8",
                     "'utf-8 '"],
    "Přehled účtů": ["iso-8859-2", "windows-1250", "cp1250", "latin2"],
    "Счёт за ноябрь": ["windows-1251", "koi8-r", "koi8-u", "iso-8859-5", "ibm866", "x-mac-cyrillic", "win-1251",
                       "cp1251"],
    "Τιμολόγιο": ["iso-8859-7", "windows-1253", "greek", "sun_eu_greek"],
    "Şubat faturası": ["iso-8859-9", "windows-1254"],
    "חשבונית": ["iso-8859-8", "iso-8859-8-i", "windows-1255"],
    "فاتورة": ["iso-8859-6", "windows-1256"],
    "ใบแจ้งหนี้": ["tis-620", "windows-874"],
    "請求書①㈱髙": ["x-sjis", "shift_jis", "windows-31j", "ms_kanji", "cp932"],
    "請求書のご案内": ["euc-jp", "x-euc-jp", "iso-2022-jp", "csiso2022jp", "iso-2022-jp-2"],
    "发票镕堃喆": ["gb2312", "gbk", "gb18030", "x-gbk", "cp936", "chinese"],
    "请求书": ["hz-gb-2312"],
    "發票通知": ["big5", "big5-hkscs", "x-x-big5", "cp950", "csbig5"],
    "청구서 똠방": ["ks_c_5601-1987", "euc-kr", "windows-949", "cp949", "korean", "csksc56011987"],
    "Grüße – вот": ["utf-7", "utf-16le", "utf-16"],
    "Stück: ½ Öl": ["cp850", "ibm437", "macintosh"],
}  # fmt: skip
CODECS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "x-sjis": "cp932", "shift_jis": "cp932", "ms_kanji": "cp932",
          "windows-31j": "cp932", "x-euc-jp": "euc_jp", "csiso2022jp": "iso2022_jp", "gb2312": "gbk", "x-gbk": "gbk",
          "chinese": "gbk", "x-x-big5": "big5", "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "korean": "cp949",
          "windows-949": "cp949", "iso-8859-8-i": "iso-8859-8", "x-mac-cyrillic": "mac-cyrillic", "win-1251": "cp1251",
          "unicode-1-1-utf-8": "utf-8", "'utf-8 '": "utf-8", "utf-16": "utf-16-le",
          "greek": "iso-8859-7", "sun_eu_greek": "iso-8859-7",
          "csksc56011987": "cp949", "csbig5": "big5",
          "windows-874": "cp874", "hz-gb-2312": "hz"}  # fmt: skip
CASES = [(label, text) for text, labels in SCRIPTS.items() for label in labels]


@pytest.mark.parametrize(("label", "text"), CASES)
def test_labels_mean_what_they_mean_to_browsers(label, text):
    data = text.encode(CODECS.get(label, label), "ignore")
    assert read(data, label).text == data.decode(CODECS.get(label, label))
    assert read(data, label).is_whole


@pytest.mark.parametrize(("label", "data", "text"), [
    ("windows-1252", b"\x80 \x81", "€ \x81"),
    ("gbk", b"\x80", "€"),
    ("euc-jp", b"\xad\xa1\xa1\xc1\x8e\xb1\x8f\xb0\xa1", "①～ｱ丂"),
    ("iso-2022-jp", b"\x1b$B-!!A\x1b(J\\\x1b(I1\x1b(B.", "①～¥ｱ."),
    ("big5", b"\xa3\xe1\xa1\x45\xa1\xe3", "€‧～"),
    ("big5-hkscs", b"\x88\x62\xc6\xa1", "\u00ca\u0304①"),
    ("gb18030", b"\xa8\xbc\x81\x35\xf4\x37", "ḿḿ"),
    ("koi8-u", b"\xae\xbe", "ўЎ"),
    ("utf-7", b"+2AA-", "\ufffd"),
])  # fmt: skip
def test_where_pythons_codecs_differ(label, data, text):
    assert read(data, label).text == text


@pytest.mark.parametrize(("label", "data", "text", "is_whole"), [
    ("", "Grüße".encode(), "Grüße", True),
    ("", b"Gr\xfc\xdfe", "Grüße", True),
    ("us-ascii", b"Gr\xfc\xdfe 5 \x80", "Grüße 5 €", True),
    ("us-ascii", b"\x81\x8d", "\x81\x8d", False),
    ("utf-8", b"Gr\xfc\xdfe", "Grüße", False),
    ("utf-8", "Grüße ".encode() + b"\xfc", "Grüße \ufffd", False),
    ("utf-8", b"a\xffb", "a\ufffdb", False),
    ("iso-8859-1", "Für 5 €".encode(), "Für 5 €", True),
    ("iso-8859-1", "Spaß…".encode("cp1252"), "Spaß…", True),
    ("iso-8859-2", "Zażółć gęślą".encode(), "Zażółć gęślą", True),
    ("windows-1251", "Счёт".encode(), "Счёт", True),
    ("koi8-r", "её".encode("koi8-r"), "её", True),
    ("gb2312", "发票通知".encode(), "发票通知", True),
    ("shift_jis", "café".encode("cp1252"), "café", False),
    ("shift_jis", "請求書".encode("cp932") + b"\x81\x20", "請求書\ufffd ", False),
    ("x-unheard-of", "Grüße".encode(), "Grüße", True),
    ("x-unheard-of", b"Gr\xfc\xdfe", "Grüße", False),
    ("x-unheard-of", b"plain", "plain", True),
    ("x-user-defined", b"Gr\xfc\xdfe", "Grüße", False),
    ("windows-1252", b"\xef\xbb\xbfGr\xc3\xbc", "Grü", True),
    ("utf-8", b"\xff\xfeA\0\xfc\0", "Aü", True),
    ("utf-16", b"plain text\r\n", "plain text\r\n", True),
    ("idna", b"\xff", "\ufffd", False),
    ("iso-2022-jp", b"\x1b$B@A5", "請\ufffd", False),
])  # fmt: skip
def test_a_label_that_is_missing_unknown_or_wrong(label, data, text, is_whole):
    assert read(data, label)[::2] == (text, is_whole)


@pytest.mark.parametrize(("value", "label", "text"), [
    (b"Gr\xc3\xbc\xc3\x9fe", "windows-1251", "Grüße"),
    ("Счёт за ноябрь".encode("cp1251"), "windows-1251", "Счёт за ноябрь"),
    (b"Gr\xfc\xdfe \x80", "", "Grüße €"),
    (b"Gr\xfc\xdfe", "x-unheard-of", "Grüße"),
    (b"Gr\xc3\r\n \xbc\xc3\xbcn\r\n is", "", "Grüün is"),
    ("請求".encode("cp932")[:3] + b"\r\n\t" + "請求".encode("cp932")[3:], "x-sjis", "請求"),
    (b"Re: \x1b$B@A\r\n 5a\x1b(B ok", "", "Re: 請求 ok"),
    (b"\x1b$B@A5a\x1b(B", "iso-2022-jp", "請求"),
    (b"Hi \x1b$ and \x81", "utf-8", "Hi \x1b$ and \x81"),
])  # fmt: skip
def test_octets_of_a_header(value, label, text):
    assert read_header(value, label) == text


CHARSETS = sorted({charsets.name(label.replace("_", "-")) for label in aliases.values()} - {""})
ENDS_OF_LINES = re.compile("[\r\n\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# What codecs shift with, and what lies beside line ends in one or another.
SHIFTS = [b"\x1b$", b"\x1b$B", b"\x1b(B", b"\x1b.A", b"\x1bN\x05", b"\x1b$)C", b"\x0e", b"\x0f", b"~{", b"~}", b"~\n ",
          b"+AAo-", b"+AA", b"+ICg-", b"+", b"-", b"%", b"\x15", b"\x25", b"\x20\x28", b"\x28\x20", b"\r\n ", b"\n\t",
          b"\x85", "\u2028\x85".encode(), "\u2028\x85".encode("gb18030"), b"\xe4", b"\xff",
          b"a", b"B", b"@"]  # fmt: skip


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_header_field_is_one_line_in_every_character_set(charset):
    @given(st.lists(st.sampled_from(SHIFTS) | st.binary(max_size=3), max_size=8).map(b"".join))
    def is_one_line(value):
        value = value.replace(b"\r", b"").replace(b"\0", b"")
        value = re.sub(rb"\n(?![ \t])", b"", value)
        text = read_header(value, charset)
        assert not [end for end in ENDS_OF_LINES.findall(text) if not value.isascii() or end.encode() not in value]

    is_one_line()


@pytest.mark.parametrize("label", ["utf-7", "utf-16", "utf-16be", "utf-32", "cp037", "cp1026", "hz-gb-2312", "ibm500"])
@pytest.mark.parametrize(
    ("value", "text"), [(b"Gr\xfc\xdfe", "Grüße"), (b"\x1b$B@A5a\x1b(B", "請求"), (b"+AAo- %\xe4", "+AAo- %ä")]
)
def test_a_header_is_not_read_in_a_character_set_that_is_not_ascii_with_more_signs(label, value, text):
    assert read_header(value, label) == text


ALPHABETS = {
    "windows-1251": "абвёЯЖ №—",
    "iso-8859-1": "äöüßéÅ €–",
    "x-sjis": "請求①カ。",
    "gb2312": "发票镕、",
    "big5": "發票，",
    "ks_c_5601-1987": "청구서똠",
    "iso-8859-7": "αβγΩ",
    "koi8-r": "абвЯЖ",
    "windows-1255": "שלום",
}


@given(st.sampled_from(sorted(ALPHABETS)).flatmap(
    lambda label: st.tuples(st.just(label), st.text(ALPHABETS[label] + "ab \n", min_size=6))
))  # fmt: skip
def test_what_a_program_wrote_is_read(given):
    label, text = given
    data = text.encode(CODECS.get(label, label))
    assert read(data, label)[::2] == (text, True)


LABELS = st.sampled_from(
    [label for label, _ in CASES] + ["", "x", "rot13", "idna", "punycode", "unicode_escape", "\0", "é"]
)


@given(st.binary(), LABELS)
def test_nothing_raises_and_everything_can_be_stored(data, label):
    assert read(data, label).text.encode() is not None
    assert read_header(data, label).encode() is not None


def test_labels_that_are_no_character_sets():
    labels = ["idna", "punycode", "rot13", "unicode_escape", "base64", "x" * 5000, "os.path", "iso-2022-cn"]
    assert [charsets.name(label) for label in labels] == [""] * len(labels)
