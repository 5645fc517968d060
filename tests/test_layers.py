"""Which settings will be used, and why: the layers of Email Setup (seed rows S9 to S13), and their pages."""

import datetime as dt

import pytest
from cryptography.hazmat.primitives import serialization
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from messaging import roles
from messaging.delivery.lane import Lane
from messaging.models import AccountPause, CompanyOptions, EmailSettings, Message, SettingChange
from messaging.setup import changes, layers
from messaging.setup.fields import LIMITS, NAMES, SECRETS, column
from messaging.setup.layers import Layer, resolve
from messaging.setup.opt_files import OptFiles
from messaging.setup.secrets import encrypt
from tests.certificates import Authority
from tests.conftest import make_message
from tests.people import make_user

pytestmark = pytest.mark.django_db

ORDER = list(Layer)
SIX = ("send_type", "auth_type", "host", "port", "username", "password")
SAMPLES = {
    "send_type": st.sampled_from([0, 1, 2, 3]),
    "auth_type": st.sampled_from(layers.AuthType.values),
    "port": st.integers(1, 65535),
    "sign_in": st.sampled_from(layers.SignIn.values),
    "per_minute": st.integers(0, 100),
    "per_hour": st.integers(0, 100),
    "max_connections": st.integers(1, 100),
    "messages_per_connection": st.integers(1, 100),
}


def some(names):
    """Values for some of the names."""
    return st.fixed_dictionaries({}, optional={name: SAMPLES.get(name, st.sampled_from("abc")) for name in names})


def row_of(values):
    stored = {column(name): encrypt(value) if name in SECRETS else value for name, value in values.items()}
    return EmailSettings(**stored)


@given(opt=some(SIX), own=some((*NAMES, *LIMITS)), company=some((*NAMES, *LIMITS)))
def test_each_value_comes_from_the_first_layer_that_sets_it_and_says_what_lies_beneath(opt, own, company):
    account = User(pk=7, username="anna")
    files = OptFiles({name: (value, f"email.{name}.opt") for name, value in opt.items()})
    stored = {7: row_of(own), None: row_of(company)}
    setup = layers._resolved(list(layers._layers(account, stored, files)), files)
    for name, value in setup.values.items():
        said = [layer[name] for layer in (opt, own, company) if layer.get(name) not in (None, "")]
        everything = [value, *value.beneath]
        assert [found.layer for found in everything if not found.unused] == sorted(
            (found.layer for found in everything if not found.unused), key=ORDER.index
        )
        assert len(everything) == len(said) + 1  # and the built-in default
        if name not in SECRETS:
            assert value.value == (said[0] if said else everything[-1].value)
            assert [lower.value for lower in everything[:-1]] == said
        elif value.layer == Layer.COMPANY:
            assert value.value == company[name]
            assert setup.values["host"].layer != Layer.ACCOUNT or own["host"] == company.get("host", "")


@pytest.fixture
def ben(django_user_model):
    return make_user("ben", "ben@office.example", "pw", first_name="Ben")


@pytest.fixture
def as_ben(client, ben):
    client.force_login(ben)
    return client


def company(by=None, **values):
    changes.save(None, {"host": "smtp.example.com", "send_type": 2} | values, by=by)


def let_users_edit(*servers):
    CompanyOptions.objects.create(pk=1, users_may_edit=True, user_servers="\n".join(servers))


def text(response):
    return response.content.decode()


def rows(client, path):
    return {row.name: row for group in client.get(path).context["groups"] for row in group.rows}


def save(client, path, **values):
    """Post the page's own form with some values changed."""
    form = client.get(path).context["form"]
    data = {name: form[name].value() or "" for name in form.fields if not name.endswith("_file")}
    data = {name: value for name, value in data.items() if not name.startswith("forget_")}
    return client.post(path, data | values)


def opt_files(settings, folder, **files):
    settings.EMAIL_OPT_DIR = folder
    for name, value in files.items():
        (folder / f"email.{name}.opt").write_text(value)


# --- Value, source, who, underneath ----------------------------------------------------------------------


def test_page_says_of_each_value_where_it_comes_from_who_set_it_and_what_lies_underneath(
    admin, operator, ben, settings, tmp_path
):
    company(by=operator, port=2587)
    changes.save(ben, {"host": "relay.example.com", "port": 2525}, by=ben)
    opt_files(settings, tmp_path, smtp_port="1025")
    found = rows(admin, "/setup/email/users/ben/")
    host, port = found["host"], found["port"]
    assert (host.in_effect.value, host.in_effect.source) == ("relay.example.com", "settings of ben")
    assert host.in_effect.change.by == ben
    assert [(lower.value, lower.source, lower.change.by) for lower in host.beneath] == [
        ("smtp.example.com", "company settings", operator)
    ]
    assert (port.in_effect.value, port.in_effect.source, port.locked) == (
        "1025", "email.smtp_port.opt", "email.smtp_port.opt",
    )  # fmt: skip
    assert [(lower.value, lower.source) for lower in port.beneath] == [
        ("2525", "settings of ben"), ("2587", "company settings"), ("25", "usual port of default"),
    ]  # fmt: skip
    page = text(admin.get("/setup/email/users/ben/"))
    assert 'Set by <span class="mono">email.smtp_port.opt</span> on this server' in page
    assert 'name="port"' not in page


def test_value_of_a_higher_layer_cannot_be_changed_by_posting_it(admin, settings, tmp_path):
    company(port=2587)
    opt_files(settings, tmp_path, smtp_port="1025", smtp_pass="geheim")
    assert save(admin, "/setup/email/", port="4444", password="x", host="other.example.com").status_code == 302
    row = EmailSettings.objects.get()
    assert (row.port, row.password_encrypted, row.host) == (2587, "", "other.example.com")
    assert "geheim" not in text(admin.get("/setup/email/"))


def test_saving_with_opt_files_leaves_the_global_settings_as_they_were(admin, settings, tmp_path):
    """The WARNING of the seed (row S13) cannot come true."""
    company(port=2587, username="office", auth_type="tls-explicit", password="geheim")
    before = EmailSettings.objects.values().get()
    opt_files(settings, tmp_path, send_type="3", auth_type="tls-implicit", smtp_server="local.example.com",
              smtp_port="465", smtp_user="local", smtp_pass="secret")  # fmt: skip
    save(admin, "/setup/email/")
    assert EmailSettings.objects.values().get() == before
    settings.EMAIL_OPT_DIR = None
    other_server = resolve(None)
    assert (other_server.host, other_server.port, other_server.password) == ("smtp.example.com", 2587, "geheim")


def posted_by(client, path):
    """What the browser would post of a page as it was opened."""
    form = client.get(path).context["form"]
    return {name: form[name].value() or "" for name in form.fields if not name.startswith("forget_")}


def test_page_opened_while_an_opt_file_was_there_empties_nothing_after_it_has_gone(admin, settings, tmp_path):
    company(port=2587, username="office")
    opt_files(settings, tmp_path, smtp_server="local.example.com", smtp_port="25")
    data = posted_by(admin, "/setup/email/")
    settings.EMAIL_OPT_DIR = None
    assert admin.post("/setup/email/", data | {"username": "mail"}).status_code == 302
    row = EmailSettings.objects.get()
    assert (row.host, row.port, row.username) == ("smtp.example.com", 2587, "mail")


def test_page_opened_before_an_opt_file_came_leaves_its_field_alone(admin, settings, tmp_path):
    company(port=2587)
    data = posted_by(admin, "/setup/email/")
    opt_files(settings, tmp_path, smtp_server="local.example.com")
    assert admin.post("/setup/email/", data | {"host": "", "username": "mail"}).status_code == 302
    row = EmailSettings.objects.get()
    assert (row.host, row.username) == ("smtp.example.com", "mail")


def test_page_opened_before_its_user_became_an_administrator_empties_nothing(as_ben, ben, operator):
    company()
    let_users_edit()
    changes.save(ben, {"tenant": "office.example", "max_connections": 3}, by=operator)
    data = posted_by(as_ben, "/preferences/email/")
    roles.give(ben, roles.ADMIN)
    assert as_ben.post("/preferences/email/", data | {"username": "ben"}).status_code == 302
    row = EmailSettings.objects.get(account=ben)
    assert (row.tenant, row.max_connections, row.username) == ("office.example", 3, "ben")


def test_emptied_field_falls_back_and_the_page_says_to_what(admin):
    company(auth_type="tls-explicit", port=2587)
    response = save(admin, "/setup/email/", port="")
    assert response.status_code == 302
    assert "Port falls back to “587” (usual port of tls-explicit)." in text(admin.get("/setup/email/"))


def test_empty_field_shows_what_it_falls_back_to(admin, ben):
    company(by=None, auth_type="tls-implicit", port=2587)
    page = text(admin.get("/setup/email/users/ben/"))
    assert 'placeholder="smtp.example.com"' in page
    assert 'placeholder="2587"' in page
    assert "Not set: tls-implicit – TLS from the first byte, usually port 465" in page


@pytest.mark.parametrize(("auth_type", "port"), [("default", 25), ("tls-implicit", 465), ("tls-explicit", 587)])
def test_port_follows_the_auth_type_until_it_is_set_by_hand(admin, auth_type, port):
    company()
    save(admin, "/setup/email/", auth_type=auth_type)
    assert resolve(None).port == port
    save(admin, "/setup/email/", port="2500")
    assert resolve(None).port == 2500


def test_port_that_does_not_go_with_the_auth_type_is_remarked_on(admin):
    company(auth_type="tls-explicit", port=465)
    assert "Port 465 usually goes with tls-implicit, and the auth type is tls-explicit." in text(
        admin.get("/setup/email/")
    )


PAGES = ("/setup/email/", "/setup/email/users/", "/setup/email/users/ben/", "/preferences/email/", "/sending/")


@pytest.mark.parametrize("whose", ["company", "ben"])
@pytest.mark.parametrize(
    ("name", "value", "label"),
    [("sign_in", "kerberos", "Way to sign in"), ("auth_type", "quantum", "Auth type"), ("send_type", 9, "Send type"),
     ("port", 0, "Port"), ("port", 70_000, "Port"), ("max_connections", 0, "Connections at once")],
)  # fmt: skip
def test_stored_value_that_is_none_is_a_clear_state_and_can_be_corrected(admin, ben, whose, name, value, label):
    """Another version, or somebody in the database, has written it."""
    company(port=2587)
    account = ben if whose == "ben" else None
    changes.save(account, {"username": "office"}, by=None)
    EmailSettings.objects.filter(account=account).update(**{name: value})
    for path in PAGES:
        assert admin.get(path).status_code == 200, path
    [problem] = resolve(account).problems()
    assert problem.startswith(f"{label} “{value}” in the ")
    assert "is not possible. Correct it in Email Setup." in problem
    message = make_message("ann@example.com")
    Message.objects.update(account=account)
    Lane(account.pk if account else None).run()
    message.refresh_from_db()
    assert (message.status, message.tries) == ("queued", 0)
    path = "/setup/email/users/ben/" if account else "/setup/email/"
    assert save(admin, path, **{name: ""}).status_code == 302
    assert resolve(account).problems() == []
    assert str(value) in text(admin.get(path))  # in the log of changes


# --- Secrets of the company --------------------------------------------------------------------------------


def test_password_of_the_company_is_not_for_a_server_that_an_account_names(ben):
    company(send_type=3, username="office", password="geheim", auth_type="tls-explicit")
    assert resolve(ben).password == "geheim"
    changes.save(ben, {"host": "elsewhere.example.com"}, by=ben)
    setup = resolve(ben)
    assert setup.password == ""
    assert setup.values["password"].beneath[0].unused == "not used: it is not for elsewhere.example.com"
    changes.save(ben, {"host": "smtp.example.com"}, by=ben)
    assert resolve(ben).password == "geheim"


def test_password_of_the_company_does_not_travel_in_the_clear_because_an_account_says_so(ben):
    company(send_type=3, username="office", password="geheim", auth_type="tls-explicit")
    changes.save(ben, {"auth_type": "default"}, by=ben)
    assert resolve(ben).password == ""
    assert resolve(None).password == "geheim"


# --- Who may edit what -------------------------------------------------------------------------------------


def test_others_settings_are_for_administrators(as_ben, operator):
    for path in ("/setup/email/users/", "/setup/email/users/anna/", "/setup/email/users/ben/"):
        assert as_ben.get(path).status_code == 403
        assert as_ben.post(path, {"host": "x.example.com"}).status_code == 403
    assert not EmailSettings.objects.exists()


def test_own_settings_are_shown_but_closed_until_an_administrator_opens_them(as_ben):
    company()
    page = text(as_ben.get("/preferences/email/"))
    assert "smtp.example.com" in page
    assert "ask an administrator" in page
    assert 'name="host"' not in page
    assert 'href="/setup/email/"' not in page
    response = as_ben.post("/preferences/email/", {"host": "smtp.example.com", "version": "0"})
    assert response.status_code == 403
    assert "Your administrator has not allowed users" in text(response)
    assert EmailSettings.objects.count() == 1


def test_user_sets_their_own_and_nobody_elses(as_ben, ben, operator):
    company(username="office")
    let_users_edit()
    assert save(as_ben, "/preferences/email/", username="ben", send_type="3", password="mine").status_code == 302
    setup = resolve(ben)
    assert (setup.username, setup.password, setup.send_type) == ("ben", "mine", 3)
    assert (resolve(None).username, resolve(operator).username) == ("office", "office")
    assert EmailSettings.objects.get(account=ben).updated_by == ben


@pytest.mark.parametrize("field", ["ca_bundle", "token_url", "client_id", "max_connections", "ehlo_name", "tenant"])
def test_user_cannot_set_what_is_for_administrators(as_ben, ben, field):
    company()
    let_users_edit()
    assert f'name="{field}"' not in text(as_ben.get("/preferences/email/"))
    save(as_ben, "/preferences/email/", **{field: "5", "username": "ben"})
    assert getattr(EmailSettings.objects.get(account=ben), field) in ("", None)


@pytest.mark.parametrize(
    ("host", "port", "auth_type", "is_allowed"),
    [
        ("smtp.example.com", "", "", True), ("smtp.example.com", "2587", "", True),  # the company's own
        ("smtp.example.com", "587", "", True), ("smtp.example.com", "6379", "", False),
        ("mail.listed.example", "465", "tls-implicit", True),
        ("mail.listed.example", "", "tls-implicit", False),  # the port is the company's
        ("MAIL.listed.example", "465", "", True),
        ("mail.listed.example", "22", "", False), ("listed.example", "25", "", False),
        ("a.below.example", "2525", "", True), ("below.example", "2525", "", False),
        ("a.below.example", "25", "", False),
        ("evilbelow.example", "2525", "", False), ("127.0.0.1", "25", "", False), ("localhost", "25", "", False),
        ("other.example", "25", "", False), ("", "22", "", False), ("169.254.169.254", "25", "", False),
        ("[fe80::1]", "25", "", False), ("::ffff:169.254.169.254", "25", "", False), ("0.0.0.0", "25", "", False),
    ],
)  # fmt: skip
def test_user_names_only_servers_that_administrators_allow(as_ben, ben, host, port, auth_type, is_allowed):
    company(port=2587)
    let_users_edit("mail.listed.example", "*.below.example:2525")
    response = save(as_ben, "/preferences/email/", host=host, port=port, auth_type=auth_type)
    assert response.status_code == (302 if is_allowed else 422)
    assert EmailSettings.objects.filter(account=ben).exists() == is_allowed


def test_refused_server_says_which_are_allowed(as_ben):
    company(port=2587)
    let_users_edit("mail.listed.example")
    page = text(save(as_ben, "/preferences/email/", host="other.example", port="25"))
    assert "other.example, port 25, is not among the servers your administrator allows" in page
    assert "smtp.example.com, smtp.example.com:2587, mail.listed.example." in page


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "100.100.100.200", "0.0.0.0", "224.0.0.1", "[::]"])
def test_not_even_an_administrator_names_a_metadata_or_link_local_address(admin, host):
    response = save(admin, "/setup/email/", host=host)
    assert response.status_code == 422
    assert "This address is never connected to" in text(response)


def test_administrator_decides_who_may_edit_and_sees_whose_server_is_not_listed(admin, ben, operator):
    company()
    changes.save(ben, {"host": "elsewhere.example.com", "username": "ben"}, by=operator)
    page = text(admin.get("/setup/email/users/"))
    assert "not among those users may name" in page
    assert "Server, User name" in page
    data = {"users_may_edit": "on", "user_servers": "elsewhere.example.com\n\n*.Example.org:2525 ", "version": "0"}
    assert admin.post("/setup/email/users/", data).status_code == 302
    row = CompanyOptions.objects.get()
    assert (row.users_may_edit, row.user_servers) == (True, "elsewhere.example.com\n*.example.org:2525")
    assert "not among those" not in text(admin.get("/setup/email/users/"))
    assert {change.name for change in SettingChange.objects.filter(by=operator)} >= {"users_may_edit", "user_servers"}
    response = admin.post("/setup/email/users/", data)
    assert (response.status_code, CompanyOptions.objects.get().version) == (422, 1)
    assert "Somebody else changed this" in text(response)


@pytest.mark.parametrize(
    "line", ["http://x.example", "a b.example", "*.", "*", "*.com", "x.example:0", "x.example:70000"]
)
def test_line_that_names_no_server_is_refused_and_named(admin, line):
    response = admin.post("/setup/email/users/", {"user_servers": line, "version": "0"})
    assert response.status_code == 422
    assert f"“{line}”" in text(response).replace("&#x27;", "'")
    assert not CompanyOptions.objects.exists()


def test_unknown_user_is_not_found(admin):
    for page in ("", "sign-in/"):
        assert admin.get(f"/setup/email/users/nobody/{page}").status_code == 404
        assert admin.get(f"/setup/email/users/ben%00/{page}").status_code == 404
    assert admin.post("/setup/email/users/%00/check/").status_code == 404


@pytest.mark.parametrize("name", ["a.b+c@d-e_", "users", "check", "Ünal", "ben smith"])
def test_user_of_any_name_has_a_page(admin, django_user_model, name):
    account = make_user(name)
    address = reverse("setup-user", args=[name])
    assert f'href="{address}"' in text(admin.get("/setup/email/users/"))
    assert save(admin, address, username="x").status_code == 302
    assert EmailSettings.objects.get(account=account).username == "x"


def test_company_server_written_with_a_last_dot_may_be_named(as_ben):
    company(host="smtp.example.com.")
    let_users_edit()
    assert save(as_ben, "/preferences/email/", host="smtp.example.com.", port="587").status_code == 302


def test_user_does_not_become_somebody_else_with_the_companys_service_account(as_ben, ben, operator):
    company(send_type=3, auth_type="tls-explicit", sign_in="google-service", username="office@example.com",
            service_account="{}")  # fmt: skip
    let_users_edit()
    response = save(as_ben, "/preferences/email/", username="boss@example.com")
    assert response.status_code == 422
    assert "administrators say which mailbox is yours" in text(response)
    assert resolve(ben).username == "office@example.com"
    changes.save(ben, {"username": "ben@example.com"}, by=operator)
    assert save(as_ben, "/preferences/email/", from_address="ben@example.com").status_code == 302
    assert (resolve(ben).username, resolve(ben).from_address) == ("ben@example.com", "ben@example.com")


def test_user_does_not_fall_back_to_the_companys_service_account_as_somebody_else(as_ben, ben):
    company(send_type=3, auth_type="tls-explicit", sign_in="google-service", service_account="{}")
    let_users_edit()
    assert save(as_ben, "/preferences/email/", username="boss@example.com", sign_in="password").status_code == 302
    assert save(as_ben, "/preferences/email/", sign_in="").status_code == 422
    assert resolve(ben).sign_in == "password"


def test_secret_of_the_company_is_not_for_another_way_to_sign_in(ben):
    """A refresh token of Google would be shown to Microsoft."""
    company(send_type=3, auth_type="tls-explicit", sign_in="google-user", client_id="c", tenant="office.example",
            client_secret="cs", refresh_token="rt")  # fmt: skip
    changes.save(ben, {"sign_in": "microsoft-user"}, by=ben)
    setup = resolve(ben)
    assert (setup.secret("refresh_token"), setup.secret("client_secret")) == ("", "")
    assert setup.values["refresh_token"].beneath[0].unused == "not used: it is for another way to sign in"
    changes.save(ben, {"sign_in": "google-user"}, by=ben)
    assert resolve(ben).secret("refresh_token") == "rt"


def test_user_keeps_what_an_administrator_set_for_them_and_changes_the_rest(as_ben, ben, operator):
    company()
    let_users_edit()
    given = {"sign_in": "google-service", "host": "elsewhere.example.com", "username": "ben@example.com"}
    changes.save(ben, given, by=operator)
    assert '<option value="google-service" selected' in text(as_ben.get("/preferences/email/"))
    assert save(as_ben, "/preferences/email/", from_address="ben@example.com").status_code == 302
    row = EmailSettings.objects.get(account=ben)
    assert {name: getattr(row, name) for name in given} == given
    assert save(as_ben, "/preferences/email/", port="465").status_code == 422


# --- Two administrators, and the log -----------------------------------------------------------------------


def test_second_of_two_administrators_sees_what_changed_and_may_save_over_it(admin, operator, ben):
    company(by=operator, port=2587)
    version = EmailSettings.objects.get().version
    changes.save(None, {"host": "new.example.com", "password": "geheim"}, by=ben)
    data = {"host": "mine.example.com", "send_type": "2", "port": "2587", "version": str(version)}
    response = admin.post("/setup/email/", data)
    page = text(response)
    assert response.status_code == 422
    assert "Somebody else changed these settings while you had them open" in page
    assert "<strong>Server</strong>: from “smtp.example.com” to “new.example.com”, by Ben" in page
    assert "<strong>Password</strong>: set, by Ben" in page
    assert "geheim" not in page
    assert 'value="mine.example.com"' in page  # what was typed is kept
    assert resolve(None).host == "new.example.com"
    data["version"] = str(response.context["form"]["version"].value())
    assert admin.post("/setup/email/", data | {"forget_password": "on"}).status_code == 302
    assert (resolve(None).host, resolve(None).password) == ("mine.example.com", "")


def test_each_changed_field_is_logged_with_who_and_when_and_secrets_only_as_changed(admin, operator):
    company()
    before = SettingChange.objects.count()
    save(admin, "/setup/email/", host="a.example.com", password="geheim-1")
    save(admin, "/setup/email/", password="geheim-2")
    save(admin, "/setup/email/", forget_password="on")
    lines = [(line.name, line.before, line.after, line.by) for line in SettingChange.objects.order_by("pk")[before:]]
    assert lines == [
        ("host", "smtp.example.com", "a.example.com", operator), ("password", "", "stored", operator),
        ("password", "stored", "changed", operator), ("password", "stored", "", operator),
    ]  # fmt: skip
    page = text(admin.get("/setup/email/"))
    for words in ("from “smtp.example.com” to “a.example.com”", "<td>set</td>", "<td>changed</td>", "<td>removed</td>"):
        assert words in page
    assert "geheim" not in page


def test_saving_what_is_there_already_changes_nothing(admin):
    company()
    version, lines = EmailSettings.objects.get().version, SettingChange.objects.count()
    save(admin, "/setup/email/")
    assert (EmailSettings.objects.get().version, SettingChange.objects.count()) == (version, lines)
    assert "Nothing was changed." in text(admin.get("/setup/email/"))


def test_account_that_is_paused_tries_the_new_settings_at_once_and_others_wait(admin, ben, operator):
    later = timezone.now() + dt.timedelta(minutes=15)
    for account in (ben, operator):
        AccountPause.objects.create(account=account, since=timezone.now(), until=later, explanation="refused")
    company_row = {"username": "ben"}
    save(admin, "/setup/email/users/ben/", **company_row)
    assert AccountPause.objects.get(account=ben).until <= timezone.now()
    assert AccountPause.objects.get(account=operator).until == later


def test_password_entered_again_is_tried_at_once_although_it_is_the_same(admin):
    company(password="geheim")
    later = timezone.now() + dt.timedelta(minutes=15)
    AccountPause.objects.create(since=timezone.now(), until=later, explanation="refused")
    save(admin, "/setup/email/")
    assert AccountPause.objects.get().until == later
    save(admin, "/setup/email/", password="geheim")
    assert AccountPause.objects.get().until <= timezone.now()


# --- Files: certificate authorities and service accounts -----------------------------------------------------


@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_certificate_authority_is_uploaded_and_named(admin, tmp_path, encoding):
    from django.core.files.uploadedfile import SimpleUploadedFile

    company()
    authority = Authority(tmp_path)
    data = b"" if encoding is serialization.Encoding.DER else b"Subject: our own\n"
    file = SimpleUploadedFile("ca.cer", data + authority.certificate.public_bytes(encoding))
    assert save(admin, "/setup/email/", ca_bundle_file=file).status_code == 302
    assert resolve(None).ca_bundle == authority.certificate.public_bytes(serialization.Encoding.PEM).decode()
    assert "Test authority until" in rows(admin, "/setup/email/")["ca_bundle"].in_effect.value
    assert "set to “Test authority until" in text(admin.get("/setup/email/"))


@pytest.mark.parametrize(
    ("bundle", "words"),
    [("hello", "no certificate in it that can be read"), ("-----BEGIN PRIVATE KEY-----", "private key"),
     ("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "no certificate"), ("x" * 200_001, "larger than")],
)  # fmt: skip
def test_what_is_no_certificate_is_refused(admin, bundle, words):
    response = save(admin, "/setup/email/", ca_bundle=bundle)
    assert response.status_code == 422
    assert words in " ".join(response.context["form"].errors["ca_bundle"])


def test_service_account_key_is_kept_encrypted_and_never_shown(admin):
    company()
    key = '{"type": "service_account", "client_email": "x@y.example", "private_key": "GEHEIM"}'
    assert save(admin, "/setup/email/", sign_in="google-service", service_account=key).status_code == 302
    row = EmailSettings.objects.get()
    assert "GEHEIM" not in row.service_account_encrypted
    assert resolve(None).secret("service_account") == key
    assert "GEHEIM" not in text(admin.get("/setup/email/"))
    for bad in ("{}", "[]", "not json", '{"type": "authorized_user"}'):
        response = save(admin, "/setup/email/", service_account=bad)
        assert "not the JSON key of a service account" in " ".join(response.context["form"].errors["service_account"])


# --- Modern sign-in: what is missing ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sign_in": "microsoft-app"}, "user name, tenant, client ID and client secret are not set"),
        ({"sign_in": "microsoft-app", "username": "a", "tenant": "t", "client_id": "c"}, "client secret is not set"),
        ({"sign_in": "google-service", "username": "a"}, "service account key is not set"),
        ({"sign_in": "oauth2", "username": "a", "client_id": "c", "token_url": "https://x.example/t"}, "client secret"),
        ({"sign_in": "password", "username": "a"}, "password is not set"),
    ],
)  # fmt: skip
def test_incomplete_sign_in_says_what_is_missing(admin, values, words):
    company(send_type=3, auth_type="tls-explicit", **values)
    assert words in text(admin.get("/setup/email/"))


def test_token_never_travels_in_the_clear(admin):
    company(send_type=3, auth_type="default", sign_in="oauth2", username="a", client_id="c", client_secret="s",
            token_url="https://x.example/t")  # fmt: skip
    assert "A sign-in with a token needs TLS" in text(admin.get("/setup/email/"))


@pytest.mark.parametrize(
    "url",
    ["http://x.example/t", "ftp://x.example", "https://", "x.example/t", "https://a b/", "https://169.254.169.254/t",
     "https://user:pw@x.example/t", "javascript:alert(1)"],
)  # fmt: skip
def test_sign_in_server_must_be_https_and_may_not_be_forbidden(admin, url):
    response = save(admin, "/setup/email/", token_url=url)
    assert response.status_code == 422
    assert "token_url" in response.context["form"].errors
