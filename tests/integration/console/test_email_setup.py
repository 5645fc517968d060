"""Email Setup in the console (S8, S12, S13)."""

import datetime as dt

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from messaging.models import AccountPause, EmailSettings
from messaging.setup.fields import SECRETS
from messaging.setup.layers import resolve
from messaging.setup.servers import server_name
from tests.factories import said
from tests.pages import source
from tests.sizes import sampled

pytestmark = pytest.mark.django_db

FORM = {
    "send_type": "3", "auth_type": "tls-explicit", "host": "smtp.example.com", "port": "", "username": "anna",
    "password": "s3cret pässword", "from_address": "office@example.com", "ehlo_name": "", "version": "0",
}  # fmt: skip


def save(admin, **changes):
    row = EmailSettings.objects.filter(account=None).first()
    return admin.post("/setup/email/", FORM | {"version": str(row.version if row else 0)} | changes)


def in_effect(admin, path="/setup/email/"):
    groups = admin.get(path).context["groups"]
    return {row.name: (row.in_effect.value, row.in_effect.source) for group in groups for row in group.rows}


def test_only_admins_see_setup(client, operator):
    client.force_login(operator)
    for response in (client.get("/setup/email/"), client.post("/setup/email/", FORM)):
        assert response.status_code == 403
        assert "Only an administrator" in source(response)
    assert not EmailSettings.objects.exists()


def test_settings_are_saved_and_the_password_is_never_shown(admin, operator):
    assert save(admin).status_code == 302
    row = EmailSettings.objects.get()
    assert (row.host, row.send_type, row.version, row.updated_by) == ("smtp.example.com", 3, 1, operator)
    assert "s3cret" not in row.password_encrypted
    assert resolve(None).password == "s3cret pässword"
    page = source(admin.get("/setup/email/"))
    assert "s3cret" not in page
    assert row.password_encrypted not in page
    assert "A password is stored" in page
    assert "usual port of tls-explicit" in page
    assert 'placeholder="587"' in page


def test_empty_password_keeps_it_and_the_box_forgets_it(admin):
    save(admin)
    save(admin, password="", ehlo_name="console.example.com")
    assert resolve(None).password == "s3cret pässword"
    assert resolve(None).ehlo_name == "console.example.com"
    save(admin, password="", forget_password="on")
    assert resolve(None).password == ""
    assert "No password is stored" in source(admin.get("/setup/email/"))


def test_stored_password_does_not_follow_to_another_server(admin):
    save(admin)
    answer = save(admin, password="", host="other.example.com")
    assert answer.status_code == 422
    assert "Enter the password again" in source(answer)
    assert resolve(None).host == "smtp.example.com"
    assert save(admin, password="new", host="other.example.com").status_code == 302
    assert (resolve(None).host, resolve(None).password) == ("other.example.com", "new")
    assert save(admin, password="", forget_password="on", host="third.example.com").status_code == 302


def test_saved_settings_are_tried_at_once_by_a_paused_account(admin):
    later = timezone.now() + dt.timedelta(minutes=15)
    AccountPause.objects.create(since=timezone.now(), until=later, reason=said("refused"))
    save(admin)
    assert AccountPause.objects.get().until <= timezone.now()


@pytest.mark.parametrize("name", [*SECRETS, "service_account_file"])
@pytest.mark.parametrize("path", ["/setup/email/", "/setup/email/users/ben/"])
def test_rejected_form_renders_no_secret_back(admin, ben, path, name):
    key = '{"type": "service_account", "private_key": "geheim"}'
    entered = SimpleUploadedFile("key.json", key.encode()) if name.endswith("_file") else key
    refused = admin.post(path, FORM | {"host": "no host", name: entered})
    assert refused.status_code == 422
    assert "geheim" not in source(refused)


def test_rejected_form_does_not_render_the_password_back(admin):
    response = save(admin, host="http://x")
    assert response.status_code == 422
    assert "s3cret" not in source(response)


def test_second_of_two_admins_is_told(admin):
    save(admin)
    save(admin, host="first.example.com")
    response = admin.post("/setup/email/", FORM | {"host": "second.example.com", "version": "1"})
    assert response.status_code == 422
    assert "Another user changed these settings" in source(response)
    assert EmailSettings.objects.get().host == "first.example.com"
    response = admin.post("/setup/email/", FORM | {"host": "third.example.com", "version": "0"})
    assert response.status_code == 422


def test_second_of_two_admins_does_not_undo_what_only_the_first_changed(admin):
    save(admin, per_minute="10", port="26")
    save(admin, per_minute="10", host="first.example.com", port="")
    second = FORM | {"per_minute": "20", "port": "26", "version": "1"}
    form = admin.post("/setup/email/", second).context["form"]
    shown = {name: form[name].value() for name in ("host", "port", "per_minute", "version")}
    assert shown == {"host": "first.example.com", "port": "", "per_minute": "20", "version": "2"}
    assert admin.post("/setup/email/", second | shown).status_code == 302
    row = EmailSettings.objects.get()
    assert (row.host, row.port, row.per_minute) == ("first.example.com", None, 20)


@pytest.mark.parametrize(
    ("field", "value"),
    sampled([
        ("host", "mail example.com"), ("host", "mail.example.com\r\nX: 1"), ("host", "smtp://mail.example.com"),
        ("host", "mail.example.com/path"), ("host", "mail.example.com:25"), ("host", "a" * 300 + ".example"),
        ("host", "-bad.example"), ("host", "a..b"), ("host", "me@example.com"), ("host", "<script>"), ("host", "\x00"),
        ("port", "0"), ("port", "70000"), ("port", "-1"), ("port", "abc"), ("port", "9" * 400), ("port", "2.5"),
        ("send_type", "4"), ("send_type", "x"), ("auth_type", "magic"), ("auth_type", "SSL"),
        ("username", "a\r\nb"), ("password", "a\nb"), ("from_address", "not an address"),
        ("from_address", "a@example.com\r\nBcc: x@example.com"), ("ehlo_name", "two words"), ("ehlo_name", "a\r\nQUIT"),
    ]),
)  # fmt: skip
def test_bad_values_are_refused_and_nothing_is_saved(admin, field, value):
    response = save(admin, **{field: value})
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert not EmailSettings.objects.exists()


@pytest.mark.parametrize(
    "typed", ['"info@s.example <info@s.example>"', "mailto:info@s.example", " info@s.example\u200b"]
)
def test_a_sender_that_was_pasted_is_read(admin, typed):
    assert save(admin, from_address=typed).status_code == 302
    assert EmailSettings.objects.get().from_address == "info@s.example"


def test_a_sender_with_a_name_is_told_to_leave_it_out(admin):
    assert "Enter the address alone: info@s.example" in source(save(admin, from_address="Info <info@s.example>"))


def test_what_is_wrong_is_listed_with_links_to_the_fields_and_has_the_focus(admin):
    page = source(save(admin, host="smtp://x/", port="70000"))
    assert 'role="alert" tabindex="-1" autofocus' in page
    assert '<a href="#id_host">Server</a>: Enter the server name alone' in page
    assert '<a href="#id_port">Port</a>: Enter a number from 1 to 65535.' in page


def test_who_may_not_change_anything_reads_each_value_once(client, operator):
    EmailSettings.objects.create(send_type=2, host="mail.brightwater.example", per_minute=None)
    client.force_login(operator)
    page = source(client.get("/preferences/email/"))
    assert page.count(">mail.brightwater.example<") == 1
    assert "Limits" not in page


def test_ssl_is_saved_and_says_what_to_choose_instead(admin):
    assert save(admin, auth_type="ssl").status_code == 302
    page = source(admin.get("/setup/email/"))
    assert "no longer has. Choose tls-implicit in Email Setup." in page
    assert EmailSettings.objects.get().auth_type == "ssl"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("Mail.Example.COM", "Mail.Example.COM"), ("  localhost ", "localhost"), ("192.0.2.1", "192.0.2.1"),
     ("[2001:db8::1]", "2001:db8::1"), ("2001:db8::1", "2001:db8::1"), ("bücher.example", "xn--bcher-kva.example")],
)  # fmt: skip
def test_server_names(given, kept):
    assert server_name(given) == kept


def test_mapi_is_saved_and_says_calmly_what_it_means_for_batches(admin):
    assert save(admin, send_type="0").status_code == 302
    page = source(admin.get("/setup/email/"))
    assert "Batches are refused for now: The send type is 0 (MAPI, Outlook)" in page
    assert 'class="notice-head">Batches are refused' not in page
    assert "It is enough to do this for the account that runs batches, under Users’ own settings there." in page


def test_password_in_the_clear_over_a_network_warns(admin):
    save(admin, auth_type="default")
    assert "travel to smtp.example.com in the clear" in source(admin.get("/setup/email/"))
    save(admin, auth_type="default", host="127.0.0.1")
    assert "travel to" not in source(admin.get("/setup/email/"))


def test_missing_encryption_key_is_told_and_nothing_is_saved(admin, settings):
    settings.FIELD_ENCRYPTION_KEYS = []
    response = save(admin)
    assert response.status_code == 422
    assert "cannot be stored safely" in source(response)
    assert not EmailSettings.objects.exists()


def test_form_writes_only_its_own_layer(admin, operator):
    EmailSettings.objects.create(account=operator, host="mine.example.com")
    save(admin)
    assert EmailSettings.objects.get(account=operator).host == "mine.example.com"
    assert resolve(operator).host == "mine.example.com"


# --- Limits ------------------------------------------------------------------------------------------

LIMITS = {
    "max_connections": "2", "messages_per_connection": "50", "per_minute": "30", "per_hour": "0",
    "sending_window": "Mon-Fri 07:00-19:00, Sat 08:00-12:00", "time_zone": "Europe/Berlin",
}  # fmt: skip


def test_limits_are_saved_in_the_same_layer_and_shown_with_their_source(admin):
    page = source(admin.get("/setup/email/"))
    for name in LIMITS:
        assert f'name="{name}"' in page
    assert save(admin, **LIMITS).status_code == 302
    setup = resolve(None)
    assert (setup.max_connections, setup.messages_per_connection, setup.time_zone) == (2, 50, "Europe/Berlin")
    assert [(rate.number, rate.unit) for rate in setup.rates] == [(30, "minute")]
    assert setup.sending_window == LIMITS["sending_window"]
    assert (setup.host, setup.password) == ("smtp.example.com", "s3cret pässword")
    rows = in_effect(admin)
    assert rows["per_minute"] == ("30", "company settings")
    assert rows["per_hour"] == ("no limit", "company settings")
    save(admin, password="", **dict.fromkeys(LIMITS, ""))
    rows = in_effect(admin)
    assert rows["per_hour"] == ("no limit", "built-in default")
    assert rows["max_connections"] == ("4", "built-in default")
    assert rows["sending_window"] == ("always", "built-in default")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    sampled([
        ("max_connections", "0", "To stop sending, pause it instead"),
        ("max_connections", "101", "from 1 to 100"), ("max_connections", "-1", "from 1 to 100"),
        ("max_connections", "two", "from 1 to 100"), ("max_connections", "9" * 400, "from 1 to 100"),
        ("messages_per_connection", "0", "from 1 to 100000"), ("messages_per_connection", "100001", "from 1 to 100000"),
        ("per_minute", "-1", "from 0 (no limit)"), ("per_minute", "1000001", "from 0 (no limit)"),
        ("per_minute", "1.5", "from 0 (no limit)"), ("per_hour", "10000001", "from 0 (no limit)"),
        ("sending_window", "nine to five", "is not a sending window. Write days and times, such as"),
        ("sending_window", "Mon 07:00-25:00", "“25:00” is not a time of day"),
        ("sending_window", "Mo 07:00-09:00", "“mo” is not a day"),
        ("sending_window", "Mon 07:00-\r\n09:00", "Line breaks"), ("sending_window", "x" * 201, "at most 200"),
        ("time_zone", "Berlin", "Did you mean Europe/Berlin?"), ("time_zone", "../../etc/passwd", "not a time zone"),
        ("time_zone", "<script>", "not a time zone"), ("time_zone", "x" * 61, "at most 60"),
    ]),
)  # fmt: skip
def test_senseless_limits_are_refused_with_what_is_allowed(admin, field, value, words):
    response = save(admin, **LIMITS | {field: value})
    assert response.status_code == 422
    assert words in " ".join(response.context["form"].errors[field])
    assert list(response.context["form"].errors) == [field]
    assert not EmailSettings.objects.exists()


def test_time_zones_are_offered_without_javascript(admin):
    page = source(admin.get("/setup/email/"))
    assert 'list="time-zones"' in page
    assert '<option value="Europe/Berlin">' in page


def test_saving_ends_limits_and_windows_at_once_and_leaves_a_persons_pause(admin, operator):
    later = timezone.now() + dt.timedelta(hours=1)
    for kind in ("limit", "window", "person", "all"):
        AccountPause.objects.create(kind=kind, since=timezone.now(), until=later, reason=said("x"), by=operator)
    save(admin, **LIMITS)
    assert {pause.kind for pause in AccountPause.objects.all()} == {"person", "all"}


def test_stored_window_that_cannot_be_read_is_a_problem_and_no_error(admin):
    save(admin)
    EmailSettings.objects.update(sending_window="nine to five")
    assert "The sending window cannot be read: “nine to five” is not a sending window." in source(
        admin.get("/setup/email/")
    )
    EmailSettings.objects.update(sending_window="daily 07:00-19:00", time_zone="Atlantis/Centre")
    assert "“Atlantis/Centre” is not a time zone" in source(admin.get("/setup/email/"))
    assert admin.get("/sending/").status_code == 200


def test_machine_without_a_full_name_says_that_it_gives_its_address(admin, monkeypatch):
    monkeypatch.setattr("messaging.setup.layers._machine_name", lambda: "")
    assert "its address on the connection" in admin.get("/setup/email/").content.decode()
