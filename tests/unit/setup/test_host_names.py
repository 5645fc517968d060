"""The words about a certificate's names say "it fits" exactly when OpenSSL takes it, whatever is in it."""

import ssl

import pytest
from cryptography import x509
from hypothesis import example, given, settings
from hypothesis import strategies as st

from messaging.setup import certificates
from messaging.setup.host_names import usable
from tests.certificates import Authority, general_name
from tests.sizes import several

HOST = "mail.example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("names"))


def dns(*names):
    return [x509.DNSName(name) for name in names]


def ip(*addresses):
    return [general_name(address) for address in addresses]


def handshake(authority, context, host):
    """What OpenSSL says of a certificate for a host, and what we read in the certificate."""
    client_context = certificates.make_tls_context((authority.folder / "ca.pem").read_text())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    is_taken = True
    for check in (True, False):
        if not check:
            client_context.check_hostname = False
            to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
            server = context.wrap_bio(to_server, to_client, server_side=True)
        client = client_context.wrap_bio(to_client, to_server, server_hostname=host.rstrip("."))
        for end in (client, server, client):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                assert error.verify_code in (62, 64), error
                is_taken = False
                break
    return is_taken, certificates.read(client.getpeercert(binary_form=True))


TABLE = [
    ("exact", "", dns(HOST), HOST, True),
    ("other case in the certificate", "", dns("MAIL.Example.com"), HOST, True),
    ("other case in Email Setup", "", dns(HOST), "Mail.EXAMPLE.com", True),
    ("another", "", dns("smtp.example.com"), HOST, False),
    ("one of several", "", dns("a.example.com", HOST), HOST, True),
    ("domain alone", "", dns("example.com"), HOST, False),
    ("trailing dot in Email Setup", "", dns(HOST), f"{HOST}.", True),
    ("trailing dot in the certificate", "", dns(f"{HOST}."), HOST, False),
    ("wildcard", "", dns("*.example.com"), HOST, True),
    ("wildcard of two labels", "", dns("*.example.com"), "a.mail.example.com", False),
    ("wildcard for the domain alone", "", dns("*.example.com"), "example.com", False),
    ("wildcard of a top-level domain", "", dns("*.lan"), "mail.lan", False),
    ("star alone", "", dns("*"), "mail", False),
    ("star in another label", "", dns("mail.*.com"), HOST, False),
    ("two stars", "", dns("*.*.com"), HOST, False),
    ("star at the start of a label", "", dns("*il.example.com"), HOST, False),
    ("star at the end of a label", "", dns("ma*.example.com"), HOST, False),
    ("star in a label", "", dns("m*l.example.com"), HOST, False),
    ("wildcard for an IDN", "", dns("*.example.com"), "bücher.example.com", True),
    ("wildcard under an IDN", "", dns("*.xn--bcher-kva.example"), "mail.bücher.example", True),
    ("IDN", "", dns("xn--bcher-kva.example"), "bücher.example", True),
    ("IDN as A-label", "", dns("xn--bcher-kva.example"), "xn--bcher-kva.example", True),
    ("address", "", ip("127.0.0.1"), "127.0.0.1", True),
    ("another address", "", ip("127.0.0.2"), "127.0.0.1", False),
    ("IPv6 address", "", ip("2001:db8::1"), "2001:DB8:0::1", True),
    ("address as a host name", "", dns("127.0.0.1"), "127.0.0.1", False),
    ("address as the common name", "127.0.0.1", None, "127.0.0.1", False),
    ("common name alone", HOST, None, HOST, True),
    ("common name in another case", HOST.upper(), None, HOST, True),
    ("wildcard as common name", "*.example.com", None, HOST, True),
    ("another common name", "other.example.com", None, HOST, False),
    ("words as common name", "The mail server", None, HOST, False),
    ("common name beside another host name", HOST, dns("other.example.com"), HOST, False),
    ("common name beside an address", HOST, ip("127.0.0.1"), HOST, True),
    ("common name beside no names", HOST, [], HOST, True),
    ("common name beside a mail address", HOST, [x509.RFC822Name("a@example.com")], HOST, True),
    ("nothing", "", None, HOST, False),
    ("underscore", "", dns("mail_1.example.com"), "mail_1.example.com", True),
    ("wildcard for an underscore", "", dns("*.example.com"), "mail_1.example.com", False),
    ("machine without a domain", "", dns("mail"), "mail", True),
]  # fmt: skip


@pytest.mark.parametrize(("common", "names", "host", "fits"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_words_follow_openssl(authority, common, names, host, fits):
    is_taken, shown = handshake(authority, authority.context_for(common, names), host)
    assert (is_taken, shown.is_for(host)) == (fits, fits)
    if fits:
        assert shown.names.readable, "a certificate that is taken names something"


@pytest.mark.slow
def test_every_name_that_is_offered_to_be_entered_would_be_taken(authority):
    for common, names in [(row[1], row[2]) for row in TABLE]:
        context = authority.context_for(common, names)
        _, shown = handshake(authority, context, HOST)
        for name in usable(shown.names.readable):
            assert handshake(authority, context, name)[0], name


LABEL = st.sampled_from(
    ["mail", "MAIL", "example", "com", "*", "m*", "*l", "xn--bcher-kva", "a-b", "-a", "", "x_y", "1"]
)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join).filter(bool)
HOSTS = (
    st.lists(LABEL.filter(lambda label: label and "*" not in label), min_size=1, max_size=4).map(".".join)
    | st.sampled_from(["127.0.0.1", "::1", "bücher.example"])
).filter(lambda host: not host.startswith("."))


@pytest.mark.slow
@pytest.mark.sized
@settings(max_examples=several(60, 5000), deadline=None)
@given(NAME | st.just(""), st.none() | st.lists(NAME | st.just("127.0.0.1"), max_size=2), HOSTS)
@example("", ["*.com"], "mail.com")
def test_words_follow_openssl_whatever_the_names(authority, common, names, host):
    given_names = None if names is None else dns(*names)
    is_taken, shown = handshake(authority, authority.context_for(common, given_names), host)
    assert shown.is_for(host) == is_taken
