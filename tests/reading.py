"""What holds of whatever is read: for the tests of tests/unit/test_parsers.py, and for tests/fuzz.py."""

from messaging.console import html_body
from messaging.content import assembly, mime
from messaging.intake import addresses, typed_addresses
from messaging.intake.errors import BadAddress
from messaging.setup import opt_files


def message(raw):
    skeleton, cuts = assembly.split(raw)
    assert len(skeleton) + sum(len(cut.body) for cut in cuts) == len(raw)
    assembly.bodies_of(raw)
    mime.decoded_words(raw.decode("utf-8", "replace"))


def html(source):
    try:
        kept = html_body.clean(source).document
    except html_body.NotShown:
        return
    assert len(kept) <= html_body.MOST_GROWTH * len(source) + html_body.ROOM
    body = kept.partition("</head>")[2].lower()
    for bad in ("<script", "<link", "<meta", "<base", "<style", "<svg", "<iframe", "<form"):
        assert bad not in body
    assert kept.lower().count("<meta") == 2
    assert kept.lower().count("<base") == 1


def addresses_in(text):
    addresses.mailboxes(text)
    for read in (addresses.envelope_mailboxes, addresses.envelope_address, typed_addresses.read):
        try:
            read(text)
        except BadAddress as refusal:
            assert str(refusal)
    assert not set(addresses.header_value(text).replace("\r\n ", "")) & {"\r", "\n"}


def opt(folder, octets):
    for name in opt_files.FILES:
        (folder / name).write_bytes(octets)
    found = opt_files.read(folder)
    assert len(found.values) + len(found.errors) >= len(set(opt_files.FILES.values()))
