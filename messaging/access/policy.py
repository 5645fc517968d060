"""What people who are no administrators may change of their own email settings: which servers they may name, and from
which addresses they may send."""

from dataclasses import replace

from django.contrib.auth.models import User

from messaging.access import roles
from messaging.company.options import ANY, options
from messaging.models import EmailSettings
from messaging.setup.layers import EmailSetup, Layer, Value
from messaging.setup.servers import BadServer, Pattern, is_listed, parse_patterns


def may_edit(person: User, account: User | None) -> bool:
    """Whether `person` may change the layer of `account` (None: the company's)."""
    if roles.is_admin(person):
        return True
    is_own = account is not None and account.pk == person.pk
    return is_own and roles.may_operate(person) and options().users_may_edit


def own_addresses(person: User) -> list[str]:
    """The addresses that a user may send from: their own, and those that administrators listed for them."""
    found = [person.email] if person.email else []
    for line in options().user_senders.splitlines():
        user, _, address = line.partition(" ")
        if user in (ANY, person.get_username()):
            found.append(address)
    return list(dict.fromkeys(found))


def may_send_from(person: User, address: str) -> bool:
    """Whether a user may choose an address as theirs; administrators choose any."""
    if options().users_any_sender or roles.is_admin(person):
        return True
    return _comparable(address) in map(_comparable, own_addresses(person))


def is_withdrawn(account: User | None, sender: Value) -> bool:
    """Whether a From address of Email Setup is one that a user chose and may not send from (any more). What an
    administrator chose for them, or what was chosen before there was a limit, counts until it is changed.
    """
    if account is None or sender.layer != Layer.ACCOUNT or may_send_from(account, str(sender.value)):
        return False
    return EmailSettings.objects.filter(account=account, chose_from_address=True).exists()


def sender_in_effect(account: User | None, setup: EmailSetup) -> Value:
    """The From address of Email Setup with which an account may send; its value is "" where there is none."""
    said = setup.values["from_address"]
    if not is_withdrawn(account, said):
        return said
    withdrawn = replace(said, beneath=(), unused="not used: users may send from their own addresses only")
    return replace(said.beneath[0], beneath=(withdrawn, *said.beneath[1:]))


def _comparable(address: str) -> str:
    """In small letters, but for those beyond ASCII: there another letter may be another mailbox."""
    return address.encode().lower().decode()


def user_servers(company: EmailSetup) -> list[Pattern]:
    """The servers that users may name: the company's own, and those listed."""
    host = company.host.lower().rstrip(".")
    own = [Pattern(host), Pattern(host, company.port)] if host else []
    try:
        return [*own, *parse_patterns(options().user_servers)]
    except BadServer:  # checked when it was saved; a list that cannot be read allows nothing
        return own


def check_server(host: str, port: int, patterns: list[Pattern]) -> None:
    """Whether a user may name this server.

    Raises:
        BadServer: no; it says which ones.
    """
    if not is_listed(host, port, patterns):
        listed = ", ".join(dict.fromkeys(str(pattern) for pattern in patterns)) or "none so far"
        raise BadServer(f"{host}, port {port}, is not among the servers your administrator allows: {listed}.")
