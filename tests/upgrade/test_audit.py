"""What version 0.1.0 logged stays word for word on the pages, and becomes keys and values where that is certain."""

import json
import os
import subprocess
import sys

import pytest

from tests.installation import ROOT, Installation
from tests.sizes import also_in_drills

# Each line: the name, before and after as version 0.1.0 wrote them; what a page says of it; what is kept of it:
# field, before, after. (Where the two are left out, the row holds the action alone.)
CA = "Our CA until 3 Mar 2027, Other CA, Ltd until 24 Dec 2030"
AUTHORITIES = [{"name": "Our CA", "ends": "2027-03-03"}, {"name": "Other CA, Ltd", "ends": "2030-12-24"}]
THREE, TWO = "3 – SMTP with authentication", "2 – SMTP without authentication"


def old(text):
    """What stays in the words of then."""
    return {"words": text}


EMAIL = [
    (("send_type", "", "3"), ("Send type", f"set to “{THREE}”"), ("send_type", None, 3)),
    (("send_type", "3", "2"), ("Send type", f"from “{THREE}” to “{TWO}”"), ("send_type", 3, 2)),
    (("send_type", "2", "9"), ("Send type", f"from “{TWO}” to “9”"), ("send_type", 2, 9)),
    (("auth_type", "", "ssl"), ("Auth type", "set to “ssl”"), ("auth_type", "", "ssl")),
    (("host", "a.example", "b.example"), ("Server", "from “a.example” to “b.example”"),
     ("host", "a.example", "b.example")),
    (("host", "b.example", ""), ("Server", "emptied, it was “b.example”"), ("host", "b.example", "")),
    (("port", "587", ""), ("Port", "emptied, it was “587”"), ("port", 587, None)),
    (("port", "", "0587"), ("Port", "set to “0587”"), ("port", None, old("0587"))),
    (("per_hour", "0", "1200"), ("Messages per hour", "from “no limit” to “1,200”"), ("per_hour", 0, 1200)),
    (("max_connections", "", "8"), ("Connections at once", "set to “8”"), ("max_connections", None, 8)),
    (("sign_in", "", "oauth2"), ("Way to sign in", "set to “Another provider of OAuth 2.0 (token endpoint)”"),
     ("sign_in", "", "oauth2")),
    (("sign_in", "oauth2", "oauth3"),
     ("Way to sign in", "from “Another provider of OAuth 2.0 (token endpoint)” to “oauth3”"),
     ("sign_in", "oauth2", "oauth3")),
    (("ca_bundle", "", CA), ("Certificate authorities", f"set to “{CA}”"), ("ca_bundle", "", AUTHORITIES)),
    (("ca_bundle", CA, "cannot be read"), ("Certificate authorities", f"from “{CA}” to “cannot be read”"),
     ("ca_bundle", AUTHORITIES, [])),
    (("ca_bundle", "X until 31 Feb 2027", "Y, Z"), ("Certificate authorities", "from “X until 31 Feb 2027” to “Y, Z”"),
     ("ca_bundle", old("X until 31 Feb 2027"), old("Y, Z"))),
    (("time_zone", "", "Asia/Tokyo"), ("Time zone", "set to “Asia/Tokyo”"), ("time_zone", "", "Asia/Tokyo")),
    (("password", "", "stored"), ("Password", "set"), ("password", "secret set")),
    (("password", "stored", "changed"), ("Password", "changed"), ("password", "secret changed")),
    (("client_secret", "stored", ""), ("Client secret", "removed"), ("client_secret", "secret removed")),
]  # fmt: skip
OPTIONS = [
    (("record_mail", "False", "True"), ("Record outbound email", "switched on"), ("record_mail", False, True)),
    (("operators_see_all", "True", "False"), ("Operators and viewers see all messages", "switched off"),
     ("operators_see_all", True, False)),
    (("users_may_edit", "maybe", "perhaps"),
     ("Users may change their own email settings", "from “maybe” to “perhaps”"),
     ("users_may_edit", old("maybe"), old("perhaps"))),
    (("expire_days", "", "30"), ("Days in the queue", "set to “30”"), ("expire_days", None, 30)),
    (("expire_days", "30", "None"), ("Days in the queue", "from “30” to “None”"), ("expire_days", 30, old("None"))),
    (("max_tries", "5", ""), ("Tries at most", "emptied, it was “5”"), ("max_tries", 5, None)),
    (("company_name", "", "A “B”"), ("Company name", "set to “A “B””"), ("company_name", "", "A “B”")),
    (("company time_zone", "UTC", "Europe/Berlin"), ("Time zone", "from “UTC” to “Europe/Berlin”"),
     ("time_zone", "UTC", "Europe/Berlin")),
    (("language", "en-gb", "en-us"), ("Language", "from “English (United Kingdom)” to “English (United States)”"),
     ("language", "en-gb", "en-us")),
    (("language", "en-us", "tlh"), ("Language", "from “English (United States)” to “tlh”"),
     ("language", "en-us", "tlh")),
    (("urgent_categories", "notice\nalarm", ""), ("Categories that are not held", "emptied, it was “notice, alarm”"),
     ("urgent_categories", ["notice", "alarm"], [])),
    (("user_servers", "", "*.example.com\nb.example:2525"),
     ("Servers that users may name", "set to “*.example.com, b.example:2525”"),
     ("user_servers", [], ["*.example.com", "b.example:2525"])),
    (("notice failed is_on", "True", "False"), ("Permanent failures: notices", "switched off"),
     ("is_on", True, False)),
    (("notice no-address to_company", "False", "True"), ("No address: tell the main company address", "switched on"),
     ("to_company", False, True)),
    (("notice paused window_minutes", "1", "0"), ("Paused accounts: collected for minutes", "from “1” to “0”"),
     ("window_minutes", 1, 0)),
]  # fmt: skip
USERS = [
    (("user", "", "Operator"), "Added as Operator", ("", None, {"role": "Operator"})),
    (("user", "", "no role"), "Added as no role", ("", None, {"role": ""})),
    (("user", "", "King"), "Added as King", ("", None, old("King"))),
    (("sign-in name", "bob", "none"), "Sign-in name from “bob” to “none”", ("username", "bob", "none")),
    (("first name", "none", "Ben"), "First name from “none” to “Ben”", ("first_name", "", "Ben")),
    (("last name", "Okoro", "none"), "Last name from “Okoro” to “none”", ("last_name", "Okoro", "")),
    (("e-mail", "a@b.example", "none"), "Email from “a@b.example” to “none”", ("email", "a@b.example", "")),
    (("active", "yes", "no"), "Active from “yes” to “no”", ("is_active", True, False)),
    (("active", "no", "perhaps"), "Active from “no” to “perhaps”", ("is_active", False, old("perhaps"))),
    (("role", "Viewer", "none"), "Role from “Viewer” to “none”", ("role", "Viewer", "")),
    (("role", "none", "King"), "Role from “none” to “King”", ("role", "", old("King"))),
    (("sign-in password", "", "changed"), "Sign-in password changed", ("password", "secret changed")),
]
ALL, ONE = "everything that waits", "messages with “invoice no. 7” from “anna” with the reason “Server busy”"
UNCLEAR = "messages with “a” from “b” with the reason “Address” from “c””"
DAYS = "Mondays, Fridays and Sundays"
MADE = "Evening: batch: weekdays at 07:30, 12:00 and 17:00 (Europe/Berlin), on"
TIMES = {"name": "Evening: batch", "kind": "times", "days": "1,2,3,4,5", "times": "07:30, 12:00, 17:00",
         "time_zone": "Europe/Berlin", "is_on": True}  # fmt: skip
SCHEDULES = [
    (("made", "", MADE), ("Made", MADE), ("", None, TIMES)),
    (("made", "", "A: every minute (UTC), off"), ("Made", "A: every minute (UTC), off"),
     ("", None, {"name": "A", "kind": "every", "minutes": 1, "time_zone": "UTC", "is_on": False})),
    (("made", "", "A: every 15 minutes (UTC), off"), ("Made", "A: every 15 minutes (UTC), off"),
     ("", None, {"name": "A", "kind": "every", "minutes": 15, "time_zone": "UTC", "is_on": False})),
    (("made", "", "A: at no time (UTC), off"), ("Made", "A: at no time (UTC), off"),
     ("", None, old("A: at no time (UTC), off"))),
    (("made", "", "A: Mondays at 25:00 (UTC), off"), ("Made", "A: Mondays at 25:00 (UTC), off"),
     ("", None, old("A: Mondays at 25:00 (UTC), off"))),
    (("name", "Evening", "Late, on"), ("Name", "from “Evening” to “Late, on”"), ("name", "Evening", "Late, on")),
    (("kind", "At fixed times", "Every … minutes"), ("When", "from “At fixed times” to “Every … minutes”"),
     ("kind", "times", "every")),
    (("kind", "Every … minutes", "Now and then"), ("When", "from “Every … minutes” to “Now and then”"),
     ("kind", "every", old("Now and then"))),
    (("minutes", "", "15"), ("Every … minutes", "set to “15”"), ("minutes", None, 15)),
    (("times", "07:30", ""), ("Times", "it was “07:30”"), ("times", "07:30", "")),
    (("days", "weekdays", DAYS), ("Days", f"from “weekdays” to “{DAYS}”"), ("days", "1,2,3,4,5", "0,1,5")),
    (("days", "every day", ""), ("Days", "it was “every day”"), ("days", "0,1,2,3,4,5,6", "")),
    (("days", "montags", "Mondays, Sundays"), ("Days", "from “montags” to “Mondays, Sundays”"),
     ("days", old("montags"), old("Mondays, Sundays"))),
    (("crontab", "", "0 7 * * *"), ("Crontab expression", "set to “0 7 * * *”"), ("crontab", "", "0 7 * * *")),
    (("filter", ALL, ONE), ("Which messages", f"from “{ALL}” to “{ONE}”"),
     ("filter", "", "q=invoice+no.+7&sender=anna&reason=busy")),
    (("filter", UNCLEAR, ALL), ("Which messages", f"from “{UNCLEAR}” to “{ALL}”"), ("filter", old(UNCLEAR), "")),
    (("account", "The company", "Anna"), ("Sending account", "from “The company” to “Anna”"),
     ("account", None, {"id": None, "name": "Anna"})),
    (("at_most", "500", ""), ("Messages per run", "it was “500”"), ("at_most", 500, None)),
    (("missed", "Run once, as soon as possible", "Leave it out"),
     ("A missed run", "from “Run once, as soon as possible” to “Leave it out”"), ("missed", "once", "never")),
    (("is_on", "off", "on"), ("On or off", "from “off” to “on”"), ("is_on", False, True)),
    (("colour", "", "red"), ("colour", "set to “red”"), ("colour", None, old("red"))),
]  # fmt: skip
GONE = [
    (("made", "", "B: crontab 0 7 * * 1-5 (UTC), on"), ("Made", "B: crontab 0 7 * * 1-5 (UTC), on"),
     ("", None, {"name": "B", "kind": "crontab", "crontab": "0 7 * * 1-5", "time_zone": "UTC", "is_on": True})),
    (("deleted", "B: every day at 07:30 (UTC), on", ""), ("Deleted", "it was “B: every day at 07:30 (UTC), on”"),
     ("", {"name": "B", "kind": "times", "days": "0,1,2,3,4,5,6", "times": "07:30", "time_zone": "UTC", "is_on": True},
      None)),
]  # fmt: skip
# No page showed these.
UNSEEN = [
    {"name": "frobnicate", "before": "", "after": "7"},
    {"name": "host", "before": "", "after": "x.example", "whose": "gone"},
    {"name": "expire_days", "before": "", "after": "3", "whose": "ben", "account_id": 2},
    {"name": "notice fire is_on", "before": "True", "after": "False"},
    {"name": "schedule x times", "before": "", "after": "07:30"},
]
MANY = 4100  # more than two chunks


def rows_of(lines, prefix="", **values):
    names = ("name", "before", "after")
    return [{**dict(zip(names, (prefix + line[0][0], *line[0][1:]), strict=True)), **values} for line in lines]


OF_BEN = {"account_id": 2, "whose": "ben"}
ROWS = [
    *rows_of(EMAIL),
    *rows_of(OPTIONS, version=3),
    *rows_of(USERS, **OF_BEN, version=0),
    *rows_of(SCHEDULES, "schedule 1 "),
    *rows_of(GONE, "schedule 99 "),
    {"name": "username", "before": "", "after": "ben@b.example", **OF_BEN},
    {"name": "host", "before": "", "after": "c.example", "by_id": None, "via": "import_opt_files"},
    {"name": "host", "before": "c.example", "after": "d.example", "by_id": None},  # whose user is deleted
    {"name": "first name", "before": "none", "after": "Gus", "whose": "gus", "version": 0},  # a deleted user
    *UNSEEN,
    *({"name": "username", "before": "", "after": str(n), "account_id": 3, "whose": "vic"} for n in range(MANY)),
]


@pytest.fixture(scope="module", params=["sqlite", *also_in_drills("postgresql", needs=pytest.mark.services)])
def upgraded(request, tmp_path_factory):
    """Pages and rows of a database of version 0.1.0 after the upgrade."""
    server = os.environ["DATABASE_URL"] if request.param == "postgresql" else None
    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    with Installation(tmp_path_factory.mktemp("old"), server, is_empty=True, **settings) as office:
        command = [sys.executable, "-m", "tests.upgrade.audit"]
        ended = subprocess.run(
            command, cwd=ROOT, env=office.env, input=json.dumps(ROWS).encode(), capture_output=True, timeout=110
        )
    assert ended.returncode == 0, ended.stderr.decode()
    return json.loads(ended.stdout)


def page(upgraded, path):
    return [tuple(line) for line in upgraded["pages"][path]]


def test_email_setup_says_what_it_said(upgraded):
    assert page(upgraded, "/setup/email/") == [
        *(("Anna", *line[1]) for line in EMAIL),
        ("a command (import_opt_files)", "Server", "set to “c.example”"),
        ("a command", "Server", "from “c.example” to “d.example”"),
    ]
    assert page(upgraded, "/setup/email/users/ben/") == [("Anna", "User name", "set to “ben@b.example”")]


def test_company_options_say_what_they_said(upgraded):
    assert page(upgraded, "/setup/options/") == [("Anna", *line[1]) for line in OPTIONS]


def test_users_say_what_they_said(upgraded):
    of_ben = [("Anna", "ben", line[1]) for line in USERS]
    assert page(upgraded, "/setup/users/2/") == of_ben
    assert page(upgraded, "/setup/users/") == [*of_ben, ("Anna", "gus", "First name from “none” to “Gus”")]


def test_schedules_say_what_they_said(upgraded):
    of_one = [line[1] for line in SCHEDULES]
    assert page(upgraded, "/setup/schedules/1/") == [("Anna", *line) for line in of_one]
    assert page(upgraded, "/setup/schedules/") == [
        *(("Anna", "Evening batch", *line) for line in of_one), *(("Anna", "no. 99", *line[1]) for line in GONE),
    ]  # fmt: skip


def test_words_became_values_where_that_is_certain(upgraded):
    entries = iter(upgraded["entries"])
    for area, lines in (("email", EMAIL), ("options", OPTIONS), ("users", USERS), ("schedules", [*SCHEDULES, *GONE])):
        for line in lines:
            entry, wanted = next(entries), line[2]
            assert entry["area"] == ("notices" if line[0][0].startswith("notice ") else area)
            action = {"made": "created", "user": "created", "deleted": "deleted"}.get(line[0][0], "changed")
            wanted = (wanted[0], None, None, wanted[1]) if len(wanted) == 2 else (*wanted, action)
            assert (entry["field"], entry["before"], entry["after"], entry["action"]) == wanted


def test_every_row_is_there_with_who_when_and_where(upgraded):
    entries = upgraded["entries"]
    assert len(entries) == len(ROWS)
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    for row, entry in zip(ROWS, entries, strict=True):
        assert entry["version"] == row.get("version", 1)
        assert (entry["by_id"], entry["by_name"]) == ((1, "anna") if row.get("by_id", 1) else (None, ""))
        assert entry["via"] == row.get("via", "")
    assert [entry["after"] for entry in entries[-MANY:]] == [str(number) for number in range(MANY)]
    assert "messaging_auditentry" in upgraded["tables"]
    assert "messaging_settingchange" not in upgraded["tables"]


def test_objects_are_told_apart(upgraded):
    def places(area):
        found = [(entry["object_key"], entry["object_name"]) for entry in upgraded["entries"] if entry["area"] == area]
        return list(dict.fromkeys(found))

    assert places("email") == [("", ""), ("2", "ben"), ("deleted gone", "gone"), ("3", "vic")]
    assert places("options") == [("", "")]
    assert places("notices") == [("failed", ""), ("no-address", ""), ("paused", "")]
    assert places("users") == [("2", "ben"), ("deleted gus", "gus")]
    assert places("schedules") == [("1", "Evening batch"), ("99", "")]


def test_rows_that_no_page_showed_are_kept_as_they_were(upgraded):
    entries = upgraded["entries"][-MANY - len(UNSEEN) : -MANY]
    assert [(entry["area"], entry["object_key"], entry["field"], entry["after"]) for entry in entries] == [
        ("other", "", "frobnicate", old("7")),
        ("email", "deleted gone", "host", "x.example"),
        ("other", "2", "expire_days", old("3")),
        ("other", "", "notice fire is_on", old("False")),
        ("other", "", "schedule x times", old("07:30")),
    ]
