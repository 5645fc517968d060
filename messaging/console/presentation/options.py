"""Company options in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from messaging.models import NoticeKind

LABELS = {
    "record_mail": "Record outbound email",
    "hold_mail": "Hold recorded email for Batch Message Processing",
    "urgent_categories": "Categories that are not held",
    "urgent_claims": "Programs that may name them",
    "max_tries": "Tries at most",
    "retry_hours": "Hours of trying",
    "expire_days": "Days in the queue",
    "same_refusals": "Refusals in the same words",
    "company_name": "Company name",
    "company_address": "Main company address",
    "console_url": "Address of this console",
    "time_zone": "Time zone",
    "language": "Language",
    "operators_see_all": "Operators and viewers see all messages",
    "users_may_edit": "Users may change their own email settings",
    "user_servers": "Servers that users may name",
    "users_any_sender": "Users may send from any address",
    "user_senders": "Addresses that users may send from",
    "second_factor_roles": "Second factor required for",
    "idle_minutes": "Minutes without activity",
    "session_hours": "Hours signed in at most",
}
RULE_LABELS = {
    "is_on": "notices",
    "to_author": "tell the author",
    "to_admins": "tell administrators",
    "to_company": "tell the main company address",
    "window_minutes": "collected for minutes",
}
TOLD = {"to_author": "The author", "to_admins": "Administrators", "to_company": "Main company address"}
# The built-in categories that programs and people meet under these names.
CATEGORIES = {
    "password-reset": "Password resets",
    "notice": "Failure notices of this console",
    "test-message": "Test messages of Email Setup",
}
NOTICES: dict[str, str] = {
    NoticeKind.FAILED: "A server refused it for good, or the tries are used up.",
    NoticeKind.UNKNOWN: "It may or may not have arrived: a person has to decide.",
    NoticeKind.PAUSED: "An account cannot send; the author is the person whose account it is.",
    NoticeKind.NO_ADDRESS: "A message came in without recipients.",
}
# (recorded, held) -> what it means, in the order of the page.
MEANINGS = {
    (False, False): (
        "Both off",
        "Every email is sent at once, and nothing is kept. The sender is told when it fails; for email from programs, "
        "the people named in the notices below are told.",
    ),
    (True, False): (
        "Record only",
        "Every email is sent at once and recorded: the message list shows when it was sent, or why not.",
    ),
    (True, True): (
        "Record and hold",
        "Email is recorded and waits in the queue for Batch Message Processing or a schedule. The categories ticked "
        "below are sent at once.",
    ),
}


def waiting_in_queue(number: int | None) -> str:
    """What becomes of messages in the queue: "12 messages wait in the queue; they stay there until …"."""
    if number == 1:
        return "1 message waits in the queue; it stays there until a batch or a person sends it."
    many = "Messages" if number is None else f"{number:,} messages"
    return f"{many} wait in the queue; they stay there until a batch or a person sends them."


def rule_problem(rule: Mapping[str, Any], address: str, admin_addresses: Sequence[str]) -> str:
    """What is wrong with who is told of one kind of failure; "" when nothing is."""
    if not rule["is_on"]:
        return ""
    if not any(rule[name] for name in TOLD):
        return "No one would be told. Tick who should be told, or switch this notice off."
    if rule["to_company"] and not address:
        return "The main company address is missing: nothing is mailed to it. Enter it below, or untick this."
    if rule["to_admins"] and not admin_addresses and not rule["to_author"] and not rule["to_company"]:
        return "No administrator has an email address: they see it in this console only."
    return ""
