"""What people who are no administrators may change of their own email settings, and which servers they may name."""

from django.contrib.auth.models import User

from messaging import roles

from .layers import EmailSetup
from .options import options
from .servers import BadServer, Pattern, is_listed, parse_patterns


def may_edit(person: User, account: User | None) -> bool:
    """Whether `person` may change the layer of `account` (None: the company's)."""
    if roles.is_admin(person):
        return True
    is_own = account is not None and account.pk == person.pk
    return is_own and roles.may_operate(person) and options().users_may_edit


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
