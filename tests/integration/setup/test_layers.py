"""Which settings will be used, and why: the layers of Email Setup (S9 to S13), and their pages."""

import datetime as dt

import pytest
from cryptography.hazmat.primitives import serialization
from django.urls import reverse
from django.utils import timezone

from messaging.access import roles
from messaging.company import options
from messaging.models import AccountPause, AuditEntry, CompanyOptions, EmailSettings, Message
from messaging.setup import changes
from messaging.setup.layers import resolve
from messaging.wording import in_words
from tests.certificates import Authority
from tests.factories import make_message, make_user, said, write_opt_files
from tests.pages import source
from tests.sizes import matrix
from tests.steps import run_lane

pytestmark = pytest.mark.django_db


def company(by=None, **values):
    changes.save(None, {"host": "smtp.example.com", "send_type": 2} | values, by=by)


def let_users_edit(*servers):
    CompanyOptions.objects.create(pk=1, users_may_edit=True, user_servers="\n".join(servers))


def rows(client, path):
    return {row.name: row for group in client.get(path).context["groups"] for row in group.rows}


def save(client, path, **values):
    """Post the page's own form with some values changed."""
    form = client.get(path).context["form"]
    data = {name: form[name].value() or "" for name in form.fields if not name.endswith("_file")}
    data = {name: value for name, value in data.items() if not name.startswith("forget_")}
    return client.post(path, data | values)


# --- Value, source, who, underneath ----------------------------------------------------------------------


def test_page_says_of_each_value_where_it_comes_from_who_set_it_and_what_lies_underneath(
    admin, operator, ben, opt_folder
):
    company(by=operator, port=2587)
    changes.save(ben, {"host": "relay.example.com", "port": 2525}, by=ben)
    write_opt_files(opt_folder, port="1025")
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
    page = source(admin.get("/setup/email/users/ben/"))
    assert 'Set by <span class="mono">email.smtp_port.opt</span> on this server' in page
    assert 'name="port"' not in page


def test_value_of_a_higher_layer_cannot_be_changed_by_posting_it(admin, opt_folder):
    company(port=2587)
    write_opt_files(opt_folder, port="1025", password="geheim")
    assert save(admin, "/setup/email/", port="4444", password="x", host="other.example.com").status_code == 302
    row = EmailSettings.objects.get()
    assert (row.port, row.password_encrypted, row.host) == (2587, "", "other.example.com")
    assert "geheim" not in source(admin.get("/setup/email/"))


def test_saving_with_opt_files_leaves_the_global_settings_as_they_were(admin, settings, opt_folder):
    """The WARNING of the seed (S13) cannot come true."""
    company(port=2587, username="office", auth_type="tls-explicit", password="geheim")
    before = EmailSettings.objects.values().get()
    write_opt_files(opt_folder, send_type="3", auth_type="tls-implicit", host="local.example.com",
              port="465", username="local", password="secret")  # fmt: skip
    save(admin, "/setup/email/")
    assert EmailSettings.objects.values().get() == before
    settings.EMAIL_OPT_DIR = None
    other_server = resolve(None)
    assert (other_server.host, other_server.port, other_server.password) == ("smtp.example.com", 2587, "geheim")


def posted_by(client, path):
    """What the browser would post of a page as it was opened."""
    form = client.get(path).context["form"]
    return {name: form[name].value() or "" for name in form.fields if not name.startswith("forget_")}


def test_page_opened_while_an_opt_file_was_there_empties_nothing_after_it_has_gone(admin, settings, opt_folder):
    company(port=2587, username="office")
    write_opt_files(opt_folder, host="local.example.com", port="25")
    data = posted_by(admin, "/setup/email/")
    settings.EMAIL_OPT_DIR = None
    assert admin.post("/setup/email/", data | {"username": "mail"}).status_code == 302
    row = EmailSettings.objects.get()
    assert (row.host, row.port, row.username) == ("smtp.example.com", 2587, "mail")


def test_page_opened_before_an_opt_file_came_leaves_its_field_alone(admin, opt_folder):
    company(port=2587)
    data = posted_by(admin, "/setup/email/")
    write_opt_files(opt_folder, host="local.example.com")
    assert admin.post("/setup/email/", data | {"host": "", "username": "mail"}).status_code == 302
    row = EmailSettings.objects.get()
    assert (row.host, row.username) == ("smtp.example.com", "mail")


def test_page_opened_before_its_user_became_an_administrator_empties_nothing(bens_browser, ben, operator):
    company()
    let_users_edit()
    changes.save(ben, {"tenant": "office.example", "max_connections": 3}, by=operator)
    data = posted_by(bens_browser, "/preferences/email/")
    roles.give(ben, roles.ADMIN)
    assert bens_browser.post("/preferences/email/", data | {"username": "ben"}).status_code == 302
    row = EmailSettings.objects.get(account=ben)
    assert (row.tenant, row.max_connections, row.username) == ("office.example", 3, "ben")


def test_emptied_field_falls_back_and_the_page_says_to_what(admin):
    company(auth_type="tls-explicit", port=2587)
    response = save(admin, "/setup/email/", port="")
    assert response.status_code == 302
    assert "Port falls back to “587” (usual port of tls-explicit)." in source(admin.get("/setup/email/"))


def test_empty_field_shows_what_it_falls_back_to(admin, ben):
    company(by=None, auth_type="tls-implicit", port=2587)
    page = source(admin.get("/setup/email/users/ben/"))
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
    assert "Port 465 usually goes with tls-implicit, and the auth type is tls-explicit." in source(
        admin.get("/setup/email/")
    )


PAGES = ("/setup/email/", "/setup/email/users/", "/setup/email/users/ben/", "/preferences/email/", "/sending/")


IMPOSSIBLE = [
    ("sign_in", "kerberos", "Way to sign in"), ("auth_type", "quantum", "Auth type"), ("send_type", 9, "Send type"),
    ("port", 0, "Port"), ("port", 70_000, "Port"), ("max_connections", 0, "Connections at once"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("whose", "name", "value", "label"), matrix(["company", "ben"], IMPOSSIBLE))
def test_stored_value_that_is_none_is_a_clear_state_and_can_be_corrected(admin, ben, whose, name, value, label):
    """Another version, or someone in the database, has written it."""
    company(port=2587)
    account = ben if whose == "ben" else None
    changes.save(account, {"username": "office"}, by=None)
    EmailSettings.objects.filter(account=account).update(**{name: value})
    for path in PAGES:
        assert admin.get(path).status_code == 200, path
    [problem] = map(in_words, resolve(account).problems())
    assert problem.startswith(f"{label} “{value}” in the ")
    assert "is not valid. Correct it in Email Setup." in problem
    message = make_message("ann@example.com")
    Message.objects.update(account=account)
    run_lane(account.pk if account else None)
    message.refresh_from_db()
    assert (message.status, message.tries) == ("queued", 0)
    path = "/setup/email/users/ben/" if account else "/setup/email/"
    assert save(admin, path, **{name: ""}).status_code == 302
    assert resolve(account).problems() == []
    assert str(value) in source(admin.get(path))  # in the log of changes


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


def test_others_settings_are_for_administrators(bens_browser, operator):
    for path in ("/setup/email/users/", "/setup/email/users/anna/", "/setup/email/users/ben/"):
        assert bens_browser.get(path).status_code == 403
        assert bens_browser.post(path, {"host": "x.example.com"}).status_code == 403
    assert not EmailSettings.objects.exists()


def test_own_settings_are_shown_but_closed_until_an_administrator_opens_them(bens_browser):
    company()
    page = source(bens_browser.get("/preferences/email/"))
    assert "smtp.example.com" in page
    assert "ask an administrator" in page
    assert 'name="host"' not in page
    assert 'href="/setup/email/"' not in page
    response = bens_browser.post("/preferences/email/", {"host": "smtp.example.com", "version": "0"})
    assert response.status_code == 403
    assert "Your administrator has not allowed users" in source(response)
    assert EmailSettings.objects.count() == 1


def test_user_sets_their_own_and_nobody_elses(bens_browser, ben, operator):
    company(username="office")
    let_users_edit()
    assert save(bens_browser, "/preferences/email/", username="ben", send_type="3", password="mine").status_code == 302
    setup = resolve(ben)
    assert (setup.username, setup.password, setup.send_type) == ("ben", "mine", 3)
    assert (resolve(None).username, resolve(operator).username) == ("office", "office")
    assert EmailSettings.objects.get(account=ben).updated_by == ben


@pytest.mark.parametrize("field", ["ca_bundle", "token_url", "client_id", "max_connections", "ehlo_name", "tenant"])
def test_user_cannot_set_what_is_for_administrators(bens_browser, ben, field):
    company()
    let_users_edit()
    assert f'name="{field}"' not in source(bens_browser.get("/preferences/email/"))
    save(bens_browser, "/preferences/email/", **{field: "5", "username": "ben"})
    assert getattr(EmailSettings.objects.get(account=ben), field) in ("", None)


SERVERS_OF_A_USER = [
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
]  # fmt: skip


@pytest.mark.slow
def test_user_names_only_servers_that_administrators_allow(bens_browser, ben, subtests):
    company(port=2587)
    let_users_edit("mail.listed.example", "*.below.example:2525")
    posted = posted_by(bens_browser, "/preferences/email/")
    for host, port, auth_type, is_allowed in SERVERS_OF_A_USER:
        with subtests.test(host=host, port=port):
            changed = {"host": host, "port": port, "auth_type": auth_type}
            response = bens_browser.post("/preferences/email/", posted | changed)
            assert response.status_code == (302 if is_allowed else 422)
            assert EmailSettings.objects.filter(account=ben).exists() == is_allowed
        EmailSettings.objects.filter(account=ben).delete()


def test_refused_server_says_which_are_allowed(bens_browser):
    company(port=2587)
    let_users_edit("mail.listed.example")
    page = source(save(bens_browser, "/preferences/email/", host="other.example", port="25"))
    assert "other.example, port 25, is not among the servers your administrator allows" in page
    assert "smtp.example.com, smtp.example.com:2587, mail.listed.example." in page


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "100.100.100.200", "0.0.0.0", "224.0.0.1", "[::]"])
def test_not_even_an_administrator_names_a_metadata_or_link_local_address(admin, host):
    response = save(admin, "/setup/email/", host=host)
    assert response.status_code == 422
    assert "Outtray never connects to this address" in source(response)


def test_administrator_decides_who_may_edit_and_sees_whose_server_is_not_listed(admin, ben, operator):
    company()
    changes.save(ben, {"host": "elsewhere.example.com", "username": "ben"}, by=operator)
    page = source(admin.get("/setup/email/users/"))
    assert "not among those users may name" in page
    assert "Server, User name" in page
    data = {"users_may_edit": "on", "user_servers": "elsewhere.example.com\n\n*.Example.org:2525 ", "version": "0"}
    assert admin.post("/setup/email/users/", data).status_code == 302
    row = CompanyOptions.objects.get()
    assert (row.users_may_edit, row.user_servers) == (True, "elsewhere.example.com\n*.example.org:2525")
    assert "not among those" not in source(admin.get("/setup/email/users/"))
    assert {change.field for change in AuditEntry.objects.filter(by=operator)} >= {"users_may_edit", "user_servers"}
    response = admin.post("/setup/email/users/", data)
    assert (response.status_code, CompanyOptions.objects.get().version) == (422, 1)
    assert "Another user changed this" in source(response)


@pytest.mark.parametrize(
    "line", ["http://x.example", "a b.example", "*.", "*", "*.com", "x.example:0", "x.example:70000"]
)
def test_line_that_names_no_server_is_refused_and_named(admin, line):
    response = admin.post("/setup/email/users/", {"user_servers": line, "version": "0"})
    assert response.status_code == 422
    assert f"“{line}”" in source(response).replace("&#x27;", "'")
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
    assert f'href="{address}"' in source(admin.get("/setup/email/users/"))
    assert save(admin, address, username="x").status_code == 302
    assert EmailSettings.objects.get(account=account).username == "x"


def test_company_server_written_with_a_last_dot_may_be_named(bens_browser):
    company(host="smtp.example.com.")
    let_users_edit()
    assert save(bens_browser, "/preferences/email/", host="smtp.example.com.", port="587").status_code == 302


def test_user_does_not_become_somebody_else_with_the_companys_service_account(bens_browser, ben, operator):
    company(send_type=3, auth_type="tls-explicit", sign_in="google-service", username="office@example.com",
            service_account="{}")  # fmt: skip
    let_users_edit()
    options.save({"user_senders": "ben ben@example.com"}, by=None)
    response = save(bens_browser, "/preferences/email/", username="boss@example.com")
    assert response.status_code == 422
    assert "administrators say which mailbox is yours" in source(response)
    assert resolve(ben).username == "office@example.com"
    changes.save(ben, {"username": "ben@example.com"}, by=operator)
    assert save(bens_browser, "/preferences/email/", from_address="ben@example.com").status_code == 302
    assert (resolve(ben).username, resolve(ben).from_address) == ("ben@example.com", "ben@example.com")


def test_user_does_not_fall_back_to_the_companys_service_account_as_somebody_else(bens_browser, ben):
    company(send_type=3, auth_type="tls-explicit", sign_in="google-service", service_account="{}")
    let_users_edit()
    assert save(bens_browser, "/preferences/email/", username="boss@example.com", sign_in="password").status_code == 302
    assert save(bens_browser, "/preferences/email/", sign_in="").status_code == 422
    assert resolve(ben).sign_in == "password"


@pytest.mark.parametrize(
    ("sign_in", "secret"), [("google-service", "service_account"), ("microsoft-app", "client_secret")]
)
def test_mailbox_that_a_user_named_beforehand_is_not_opened_with_what_opens_any(
    admin, bens_browser, ben, operator, sign_in, secret
):
    """The company signed in with a password when Ben entered the user name; then an administrator moved it."""
    company(send_type=3, auth_type="tls-explicit", username="office@example.com", password="geheim")
    let_users_edit()
    assert save(bens_browser, "/preferences/email/", username="boss@example.com").status_code == 302
    assert resolve(ben).username == "boss@example.com"
    changes.save(None, {"sign_in": sign_in, secret: "{}", "tenant": "t.example", "client_id": "c"}, by=operator)
    assert (resolve(ben).username, resolve(ben).secret(secret), resolve(ben).problems()) == (
        "office@example.com",
        "{}",
        [],
    )
    assert "not used: administrators say which mailbox is yours" in source(bens_browser.get("/preferences/email/"))
    assert save(bens_browser, "/preferences/email/", auth_type="tls-implicit").status_code == 302
    assert resolve(ben).username == "office@example.com"
    assert save(admin, "/setup/email/users/ben/", username="ben@example.com").status_code == 302
    assert resolve(ben).username == "ben@example.com"
    changes.save(None, {"sign_in": "password", "password": "geheim"}, by=operator)
    assert resolve(ben).username == "ben@example.com"


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


def test_user_keeps_what_an_administrator_set_for_them_and_changes_the_rest(bens_browser, ben, operator):
    company()
    let_users_edit()
    options.save({"user_senders": "ben ben@example.com"}, by=None)
    given = {"sign_in": "google-service", "host": "elsewhere.example.com", "username": "ben@example.com"}
    changes.save(ben, given, by=operator)
    assert '<option value="google-service" selected' in source(bens_browser.get("/preferences/email/"))
    assert save(bens_browser, "/preferences/email/", from_address="ben@example.com").status_code == 302
    row = EmailSettings.objects.get(account=ben)
    assert {name: getattr(row, name) for name in given} == given
    assert save(bens_browser, "/preferences/email/", port="465").status_code == 422


# --- Two administrators, and the log -----------------------------------------------------------------------


def test_second_of_two_administrators_sees_what_changed_and_may_save_over_it(admin, operator, ben):
    company(by=operator, port=2587)
    version = EmailSettings.objects.get().version
    changes.save(None, {"host": "new.example.com", "password": "geheim"}, by=ben)
    data = {"host": "mine.example.com", "send_type": "2", "port": "2587", "version": str(version)}
    response = admin.post("/setup/email/", data)
    page = source(response)
    assert response.status_code == 422
    assert "Another user changed these settings while you had them open" in page
    assert "<strong>Server</strong>: from “smtp.example.com” to “new.example.com”, by Ben" in page
    assert "<strong>Password</strong>: set, by Ben" in page
    assert "geheim" not in page
    assert 'value="mine.example.com"' in page  # what was typed is kept
    assert resolve(None).host == "new.example.com"
    data["version"] = str(response.context["form"]["version"].value())
    assert admin.post("/setup/email/", data | {"forget_password": "on"}).status_code == 302
    assert (resolve(None).host, resolve(None).password) == ("mine.example.com", "")


@pytest.mark.slow
def test_each_changed_field_is_logged_with_who_and_when_and_secrets_only_as_changed(admin, operator):
    company()
    before = AuditEntry.objects.count()
    save(admin, "/setup/email/", host="a.example.com", password="geheim-1")
    save(admin, "/setup/email/", password="geheim-2")
    save(admin, "/setup/email/", forget_password="on")
    entries = AuditEntry.objects.order_by("pk")[before:]
    lines = [(line.field, line.action, line.before, line.after, line.by) for line in entries]
    assert lines == [
        ("host", "changed", "smtp.example.com", "a.example.com", operator),
        *(("password", f"secret {what}", None, None, operator) for what in ("set", "changed", "removed")),
    ]  # fmt: skip
    page = source(admin.get("/setup/email/"))
    for words in ("from “smtp.example.com” to “a.example.com”", "<td>set</td>", "<td>changed</td>", "<td>removed</td>"):
        assert words in page
    assert "geheim" not in page


def test_saving_what_is_there_already_changes_nothing(admin):
    company()
    version, lines = EmailSettings.objects.get().version, AuditEntry.objects.count()
    save(admin, "/setup/email/")
    assert (EmailSettings.objects.get().version, AuditEntry.objects.count()) == (version, lines)
    assert "Nothing was changed." in source(admin.get("/setup/email/"))


def test_account_that_is_paused_tries_the_new_settings_at_once_and_others_wait(admin, ben, operator):
    later = timezone.now() + dt.timedelta(minutes=15)
    for account in (ben, operator):
        AccountPause.objects.create(account=account, since=timezone.now(), until=later, reason=said("refused"))
    company_row = {"username": "ben"}
    save(admin, "/setup/email/users/ben/", **company_row)
    assert AccountPause.objects.get(account=ben).until <= timezone.now()
    assert AccountPause.objects.get(account=operator).until == later


def test_password_entered_again_is_tried_at_once_although_it_is_the_same(admin):
    company(password="geheim")
    later = timezone.now() + dt.timedelta(minutes=15)
    AccountPause.objects.create(since=timezone.now(), until=later, reason=said("refused"))
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
    assert "set to “Test authority until" in source(admin.get("/setup/email/"))


@pytest.mark.parametrize(
    ("bundle", "words"),
    [("hello", "no certificate that can be read"), ("-----BEGIN PRIVATE KEY-----", "private key"),
     ("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "no certificate"), ("x" * 200_001, "larger than")],
)  # fmt: skip
def test_what_is_no_certificate_is_refused(admin, bundle, words):
    response = save(admin, "/setup/email/", ca_bundle=bundle)
    assert response.status_code == 422
    assert words in " ".join(response.context["form"].errors["ca_bundle"])


@pytest.mark.slow
def test_service_account_key_is_kept_encrypted_and_never_shown(admin):
    company()
    key = '{"type": "service_account", "client_email": "x@y.example", "private_key": "GEHEIM"}'
    assert save(admin, "/setup/email/", sign_in="google-service", service_account=key).status_code == 302
    row = EmailSettings.objects.get()
    assert "GEHEIM" not in row.service_account_encrypted
    assert resolve(None).secret("service_account") == key
    assert "GEHEIM" not in source(admin.get("/setup/email/"))
    refused = save(admin, "/setup/email/", service_account=key, port="x")
    assert refused.status_code == 422
    assert "GEHEIM" not in source(refused), "nor while another field is corrected"
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
    assert words in source(admin.get("/setup/email/"))


def test_token_never_travels_in_the_clear(admin):
    company(send_type=3, auth_type="default", sign_in="oauth2", username="a", client_id="c", client_secret="s",
            token_url="https://x.example/t")  # fmt: skip
    assert "A sign-in with a token needs TLS" in source(admin.get("/setup/email/"))


@pytest.mark.parametrize(
    "url",
    ["http://x.example/t", "ftp://x.example", "https://", "x.example/t", "https://a b/", "https://169.254.169.254/t",
     "https://user:pw@x.example/t", "javascript:alert(1)"],
)  # fmt: skip
def test_sign_in_server_must_be_https_and_may_not_be_forbidden(admin, url):
    response = save(admin, "/setup/email/", token_url=url)
    assert response.status_code == 422
    assert "token_url" in response.context["form"].errors
