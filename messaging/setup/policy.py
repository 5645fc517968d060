"""What people who are no administrators may change of their own email settings, and which servers they may name."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from messaging.models import CompanyOptions, SettingChange

from .changes import ChangedMeanwhile
from .layers import EmailSetup
from .servers import BadServer, Pattern, is_listed, parse_patterns

NAMES = ("users_may_edit", "user_servers")


def options() -> CompanyOptions:
    """What administrators decided; an unsaved row with the defaults before they decided anything."""
    return CompanyOptions.objects.select_related("updated_by").first() or CompanyOptions(version=0)


def save(*, users_may_edit: bool, user_servers: str, by: User, seen: int) -> None:
    """Decide, as a new version, into the log of changes.

    Raises:
        ChangedMeanwhile: it has another version than `seen` by now (0: it was never saved); nothing was written.
    """
    try:
        with transaction.atomic():
            row = CompanyOptions.objects.select_for_update().first() or CompanyOptions(pk=1, version=0)
            if row.version != seen:
                raise ChangedMeanwhile
            before = {name: str(getattr(row, name)) for name in NAMES}
            row.users_may_edit, row.user_servers = users_may_edit, user_servers
            row.version, row.updated_by = seen + 1, by
            row.save(force_insert=seen == 0)
            SettingChange.objects.bulk_create(
                SettingChange(
                    name=name, before=before[name], after=after, version=row.version, at=timezone.now(), by=by
                )
                for name in NAMES
                if (after := str(getattr(row, name))) != before[name]
            )
    except IntegrityError as error:
        raise ChangedMeanwhile from error


def may_edit(person: User, account: User | None) -> bool:
    """Whether `person` may change the layer of `account` (None: the company's)."""
    if person.is_staff:
        return True
    return account is not None and account.pk == person.pk and options().users_may_edit


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
