"""One audit log of keys and values in place of SettingChange, which told five logs apart by names and kept words.

What version 0.1.0 wrote in words is read back to the value that the field had, wherever that is certain; what is not
stays as {"words": "..."}. Either way each page says what it said. Rows that no page showed (of accounts that were
deleted, or with a name that is not known) are kept, too.

There is no way back for rows: the words of then are not made again.
"""

import re
from datetime import date
from urllib.parse import urlencode

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.exceptions import IrreversibleError

CHUNK = 2000

# --- The names of version 0.1.0, frozen here ------------------------------------------------------------

EMAIL_NUMBERS = {"send_type", "port", "max_connections", "messages_per_connection", "per_minute", "per_hour"}
EMAIL_SECRETS = {"password", "client_secret", "refresh_token", "service_account"}
EMAIL_TEXTS = {
    "auth_type", "host", "username", "sign_in", "tenant", "client_id", "token_url", "scope", "from_address", "ehlo_name",
    "sending_window", "time_zone",
}
EMAIL = EMAIL_NUMBERS | EMAIL_SECRETS | EMAIL_TEXTS | {"ca_bundle"}
OPTION_SWITCHES = {"record_mail", "hold_mail", "operators_see_all", "users_may_edit"}
OPTION_NUMBERS = {"max_tries", "retry_hours", "expire_days"}
OPTION_LINES = {"urgent_categories", "user_servers"}
OPTION_TEXTS = {"company_name", "company_address", "console_url", "language"}
OPTIONS = {name: name for name in OPTION_SWITCHES | OPTION_NUMBERS | OPTION_LINES | OPTION_TEXTS}
OPTIONS["company time_zone"] = "time_zone"
NOTICE = re.compile(r"notice (failed|unknown|paused|no-address) (is_on|to_author|to_admins|to_company|window_minutes)")
USERS = {
    "sign-in name": "username", "first name": "first_name", "last name": "last_name", "e-mail": "email",
    "active": "is_active", "role": "role",
}
ROLES = {"Viewer", "Operator", "Administrator"}
SCHEDULE = re.compile(r"schedule ([0-9]+) (?:.* )?(\S+)")
KINDS = {"Every … minutes": "every", "At fixed times": "times", "Crontab expression": "crontab"}
MISSED = {"Run once, as soon as possible": "once", "Leave it out": "never"}
REASONS = {
    "Address": "address", "Content": "content", "Server busy": "busy", "Our setup": "setup", "Network": "network",
    "Policy or spam": "policy",
}
DAYS = ("Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays")
WEEKS = {"": "", "weekdays": "1,2,3,4,5", "every day": "0,1,2,3,4,5,6"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def carry_over(apps, schema_editor):
    """Every row of SettingChange as an AuditEntry, in the same order."""
    alias = schema_editor.connection.alias
    old = apps.get_model("messaging", "SettingChange").objects.using(alias).order_by("pk")
    new = apps.get_model("messaging", "AuditEntry")
    schedules = dict(apps.get_model("messaging", "Schedule").objects.using(alias).values_list("pk", "name"))
    people = dict(apps.get_model("auth", "User").objects.using(alias).values_list("pk", "username"))
    last = 0
    while rows := list(old.filter(pk__gt=last).values()[:CHUNK]):
        entries = [
            new(
                at=row["at"], by_id=row["by_id"], by_name=people.get(row["by_id"], ""), via=row["via"],
                version=row["version"], **converted(row, schedules),
            )
            for row in rows
        ]
        new.objects.using(alias).bulk_create(entries)
        last = rows[-1]["id"]


def go_back_only_without_rows(apps, schema_editor):
    """Refuse to go back before anything is lost."""
    if apps.get_model("messaging", "AuditEntry").objects.using(schema_editor.connection.alias).exists():
        raise IrreversibleError("Version 0.1.0 kept sentences, which are not made again: restore the backup.")


def converted(row, schedules):
    """Area, object, action, field and values of a row; `schedules` are the names of those that are there."""
    name, before, after = row["name"], row["before"], row["after"]
    of_company = row["account_id"] is None and not row["whose"]
    if name in EMAIL:
        return _account(row) | {"area": "email", "field": name} | _of_email(name, before, after)
    if name in USERS or name in ("user", "sign-in password"):
        return _account(row) | {"area": "users"} | _of_user(name, before, after)
    if of_company and name in OPTIONS:
        field = OPTIONS[name]
        return {"area": "options", "field": field} | _both(_option, field, before, after)
    if of_company and (found := NOTICE.fullmatch(name)):
        kind, field = found.groups()
        return {"area": "notices", "object_key": kind, "field": field} | _both(_option, field, before, after)
    if of_company and (found := SCHEDULE.fullmatch(name)):
        number, field = found.groups()
        place = {"area": "schedules", "object_key": str(int(number)), "object_name": schedules.get(int(number), "")}
        return place | _of_schedule(field, before, after)
    return _account(row) | {"area": "other", "field": name} | _both(_unknown, name, before, after)


def _account(row):
    """Whose it is. Of an account that is deleted only the name is left; no other object has such a key."""
    gone = f"deleted {row['whose']}" if row["whose"] else ""
    return {"object_key": str(row["account_id"] or gone), "object_name": row["whose"]}


def _both(read, field, before, after):
    return {"before": read(field, before), "after": read(field, after)}


def _words(text):
    return {"words": text}


def _unknown(field, text):
    return _words(text) if text else None


def _number(text):
    if text == "":
        return None
    return int(text) if re.fullmatch("0|[1-9][0-9]{0,17}", text) else _words(text)


# --- Email Setup, company options, notices, users -----------------------------------------------------------


def _of_email(name, before, after):
    if name in EMAIL_SECRETS:
        return {"action": {"": "secret removed", "stored": "secret set"}.get(after, "secret changed")}
    return _both(_email, name, before, after)


def _email(field, text):
    if field in EMAIL_NUMBERS:
        return _number(text)
    if field == "ca_bundle" and text:
        return _authorities(text)
    return text


def _authorities(words):
    """“Our CA until 3 Mar 2027, …” as [{"name", "ends"}]."""
    if words == "cannot be read":
        return []
    found = re.findall(r"(.+?) until ([1-9][0-9]?) ([A-Z][a-z]{2}) ([0-9]{4})(?:, |$)", words)
    if ", ".join(f"{name} until {day} {month} {year}" for name, day, month, year in found) != words:
        return _words(words)
    try:
        ends = [date(int(year), MONTHS.index(month) + 1, int(day)) for _, day, month, year in found]
    except ValueError:
        return _words(words)
    return [{"name": name, "ends": end.isoformat()} for (name, *_), end in zip(found, ends, strict=True)]


def _option(field, text):
    lines = text.splitlines()
    if field in OPTION_LINES:
        return lines
    if text != (told := ", ".join(lines)):
        return _words(told)
    if field in OPTION_SWITCHES or field in ("is_on", "to_author", "to_admins", "to_company"):
        return text == "True" if text in ("True", "False") else _words(text)
    return _number(text) if field in OPTION_NUMBERS or field == "window_minutes" else text


def _of_user(name, before, after):
    if name == "sign-in password":
        return {"field": "password", "action": "secret changed"}
    if name == "user":
        return {"action": "created", "after": _first_role(after)}
    return {"field": USERS[name]} | _both(_user, USERS[name], before, after)


def _first_role(text):
    if text in ROLES or text == "no role":
        return {"role": text if text in ROLES else ""}
    return _words(text)


def _user(field, text):
    if field == "is_active":
        return text == "yes" if text in ("yes", "no") else _words(text)
    if field == "role" and text not in ROLES and text != "none":
        return _words(text)
    return "" if text == "none" and field != "username" else text


# --- Schedules ------------------------------------------------------------------------------------------------


def _of_schedule(field, before, after):
    if field == "made":
        return {"action": "created", "after": _whole_schedule(after)}
    if field == "deleted":
        return {"action": "deleted", "before": _whole_schedule(before)}
    return {"field": field} | _both(_schedule, field, before, after)


def _schedule(field, text):
    match field:
        case "name" | "times" | "crontab" | "time_zone":
            return text
        case "minutes" | "at_most":
            return _number(text)
        case "kind":
            return KINDS.get(text) or _words(text)
        case "missed":
            return MISSED.get(text) or _words(text)
        case "days":
            return _days(text)
        case "filter":
            return _filter(text)
        case "account":
            # A name that people share, or had before, does not say who it was.
            return None if text == "The company" else {"id": None, "name": text}
        case "is_on":
            return text == "on" if text in ("on", "off") else _words(text)
    return _unknown(field, text)


def _joined(words):
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _days(words):
    """“weekdays”, “Mondays and Fridays” as "1,5"."""
    if words in WEEKS:
        return WEEKS[words]
    named = re.split(", | and ", words)
    in_order = [day for day in (*DAYS[1:], DAYS[0]) if day in named]
    days = ",".join(str(number) for number, day in enumerate(DAYS) if day in named)
    return days if _joined(in_order) == words and days not in WEEKS.values() else _words(words)


def _filter(words):
    """“messages with “invoice” from “anna”” as "q=invoice&sender=anna"."""
    if words == "everything that waits":
        return ""
    part = "“([^“”]+)”"
    found = re.fullmatch(f"messages(?: with {part})?(?: from {part})?(?: with the reason {part})?", words)
    if found is None or not any(found.groups()):
        return _words(words)
    q, sender, reason = found.groups()
    if reason in REASONS.values():  # its name would have been told
        return _words(words)
    asked = {"q": q, "sender": sender, "reason": REASONS.get(reason, reason)}
    return urlencode({name: value for name, value in asked.items() if value})


def _whole_schedule(words):
    """“Evening batch: weekdays at 07:30 and 17:00 (Europe/Berlin), on” as the fields that it tells."""
    found = re.fullmatch(r"(.+): (.+) \(([^ ()]+)\), (on|off)", words)
    when = _when(found[2]) if found else None
    if not when:
        return _words(words)
    return {"name": found[1], "time_zone": found[3], "is_on": found[4] == "on"} | when


def _when(words):
    if words == "every minute":
        return {"kind": "every", "minutes": 1}
    if found := re.fullmatch("every ([2-9]|[1-9][0-9]{1,3}) minutes", words):
        return {"kind": "every", "minutes": int(found[1])}
    if found := re.fullmatch(r"crontab ([^:“”]+)", words):
        return {"kind": "crontab", "crontab": found[1]}
    day_words, _, time_words = words.rpartition(" at ")
    days, times = _days(day_words), re.split(", | and ", time_words)
    is_plain = all(re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", each) for each in times)
    if not day_words or isinstance(days, dict) or not is_plain or times != sorted(set(times)):
        return None
    return {"kind": "times", "days": days, "times": ", ".join(times)} if _joined(times) == time_words else None


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0005_phrases"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("by_name", models.CharField(blank=True, help_text="Their user name then; empty: a command.", max_length=150)),
                ("via", models.CharField(blank=True, help_text="The command; empty: the console.", max_length=40)),
                ("area", models.CharField(choices=[("email", "Email Setup"), ("options", "Company options"), ("notices", "Notices"), ("users", "Users"), ("schedules", "Schedules"), ("other", "Not known to this version")], max_length=10)),
                ("object_key", models.CharField(blank=True, help_text="Which one: the number of a user or schedule, the kind of notice; empty: the company's.", max_length=160)),
                ("object_name", models.CharField(blank=True, help_text="What it was called then.", max_length=150)),
                ("action", models.CharField(choices=[("changed", "Changed"), ("created", "Made"), ("deleted", "Deleted"), ("secret set", "Secret set"), ("secret changed", "Secret changed"), ("secret removed", "Secret removed")], default="changed", max_length=14)),
                ("field", models.CharField(blank=True, max_length=40)),
                ("before", models.JSONField(blank=True, null=True)),
                ("after", models.JSONField(blank=True, null=True)),
                ("version", models.PositiveIntegerField(default=0, help_text="Of the object, after this change; 0: it has no versions.")),
                ("by", models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL)),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "ordering": ["id"],
                "indexes": [models.Index(fields=["area", "object_key", "-id"], name="audit_object")],
                "constraints": [models.CheckConstraint(condition=models.Q(("action__in", ("changed", "created", "deleted")), models.Q(("after__isnull", True), ("before__isnull", True)), _connector="OR"), name="secret_is_not_told")],
            },
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.DeleteModel(name="SettingChange"),
        migrations.RunPython(migrations.RunPython.noop, go_back_only_without_rows),
    ]
