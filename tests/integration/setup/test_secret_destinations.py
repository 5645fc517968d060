"""A stored secret goes only where it was meant to go, whichever layer, page, command or file names another place."""

import io

import pytest
from django.core.management import call_command
from django.test import Client

from messaging.models import AuditEntry, CompanyOptions, EmailSettings
from messaging.setup import changes, secret_destinations
from messaging.setup.layers import resolve
from tests.factories import make_message, put, write_opt_files
from tests.fault_server import FaultServer
from tests.pages import source
from tests.steps import run_lane

from .test_layers import save

pytestmark = pytest.mark.django_db(transaction=True)

COMPANY = {
    "host": "smtp.example.com", "port": 587, "send_type": 3, "auth_type": "tls-explicit", "username": "office",
    "password": "geheim",
}  # fmt: skip
OAUTH = {
    "host": "smtp.example.com", "send_type": 3, "auth_type": "tls-explicit", "sign_in": "oauth2", "username": "office",
    "client_id": "c", "token_url": "https://login.example.com/token", "client_secret": "cs", "refresh_token": "rt",
}  # fmt: skip


def browser_of(person):
    browser = Client()
    browser.force_login(person)
    return browser


# --- To save a layer one has to know its secret -----------------------------------------------------------

ELSEWHERE = [
    ("host", "other.example.com", "the server has changed"),
    ("port", "588", "the port has changed"),
    ("port", "", None),  # 587 is the usual port of tls-explicit
    ("auth_type", "default", "it would now travel in the clear"),
    ("auth_type", "tls-implicit", None),  # on the same port, and as well protected
    ("username", "anna", "the user name has changed"),
    ("sign_in", "microsoft-app", "the way to sign in has changed"),
    ("host", "SMTP.example.com.", None),
    ("from_address", "office@example.com", None),
    ("ehlo_name", "console.example.com", None),
]


@pytest.mark.parametrize(("field", "value", "why"), ELSEWHERE)
def test_password_is_asked_for_again_where_it_would_go_elsewhere(admin, field, value, why):
    changes.save(None, COMPANY, by=None)
    answer = save(admin, "/setup/email/", **{field: value})
    if why is None:
        assert answer.status_code == 302
        assert resolve(None).password == "geheim"
    else:
        assert answer.status_code == 422
        assert f"Enter the password again, because {why}." in source(answer)
        assert EmailSettings.objects.get().version == 1
        assert save(admin, "/setup/email/", **{field: value, "password": "geheim"}).status_code == 302
        if field != "sign_in":
            assert resolve(None).password == "geheim"


@pytest.mark.parametrize(
    ("field", "value", "names"),
    [
        ("token_url", "https://login.other.example/token", ["client secret", "refresh token"]),
        ("port", "588", ["client secret", "refresh token"]),  # where the tokens go
        ("host", "other.example.com", ["client secret", "refresh token"]),
        ("sign_in", "google-user", ["client secret", "refresh token"]),
        ("tenant", "other.example", ["client secret", "refresh token"]),
        ("username", "anna", []),  # administrators say which mailbox
    ],
)
def test_secrets_of_a_sign_in_with_tokens_are_asked_for_again(admin, field, value, names):
    changes.save(None, OAUTH, by=None)
    page = source(save(admin, "/setup/email/", **{field: value}))
    asked = [name for name in ("client secret", "refresh token", "password") if f"Enter the {name} again" in page]
    assert asked == names


def test_password_may_be_forgotten_instead(admin):
    changes.save(None, COMPANY, by=None)
    assert save(admin, "/setup/email/", port="588", forget_password="on").status_code == 302
    assert (resolve(None).port, resolve(None).password) == (588, "")


def test_same_password_entered_for_another_place_goes_there(admin):
    changes.save(None, COMPANY, by=None)
    changes.save(None, {"port": 588}, by=None)
    assert resolve(None).password == ""
    save(admin, "/setup/email/", password="geheim")
    assert resolve(None).password == "geheim"


# --- And no one else gets it by naming another place -------------------------------------------------------


@pytest.fixture
def servers():
    with FaultServer(auth=("PLAIN",)) as ours, FaultServer(auth=("PLAIN",)) as other:
        yield ours, other


def meant_for(server, **values):
    return COMPANY | {"host": "127.0.0.1", "port": server.port, "auth_type": "default"} | values


def send_as(account):
    put(make_message("x@example.com", author=account), account=account)
    run_lane(account and account.pk)


def check(browser):
    """What *Check connection* says."""
    return b"".join(browser.post("/preferences/email/check/").streaming_content).decode()


def test_user_who_names_another_port_does_not_get_the_companys_password(ben, servers):
    ours, other = servers
    changes.save(None, meant_for(ours), by=None)
    CompanyOptions.objects.create(pk=1, users_may_edit=True, user_servers=f"127.0.0.1:{other.port}")
    browser = browser_of(ben)
    assert save(browser, "/preferences/email/", port=str(other.port)).status_code == 302
    assert f"not used: it is not for 127.0.0.1, port {other.port}" in source(browser.get("/preferences/email/"))
    send_as(ben)
    assert (other.heard("AUTH"), ours.heard("AUTH")) == ([], [])
    assert "The stored password was entered for another server, port" in check(browser)
    assert (other.heard("AUTH"), ours.heard("AUTH")) == ([], [])
    assert save(browser, "/preferences/email/", port="").status_code == 302
    assert "accepts the sign-in" in check(browser)
    assert (other.heard("AUTH"), len(ours.heard("AUTH"))) == ([], 1)


@pytest.mark.parametrize(
    ("said", "is_used"),
    [({"port": 588}, False), ({"username": "ben"}, True), ({"auth_type": "default"}, False),
     ({"host": "other.example.com"}, False), ({"auth_type": "tls-implicit"}, True), ({"port": 587}, True),
     ({"from_address": "ben@example.com"}, True)],
)  # fmt: skip
def test_password_of_the_company_beneath_what_a_user_says(ben, said, is_used):
    changes.save(None, COMPANY, by=None)
    changes.save(ben, said, by=ben)
    assert bool(resolve(ben).password) is is_used
    assert resolve(None).password == "geheim"


def test_company_that_moves_does_not_take_the_passwords_of_users_along(ben, servers):
    ours, other = servers
    changes.save(None, meant_for(ours), by=None)
    changes.save(ben, {"username": "ben", "password": "bens own"}, by=ben)
    changes.save(None, {"port": other.port, "password": "geheim"}, by=None)
    assert resolve(ben).password == ""
    assert resolve(None).password == "geheim"
    changes.save(None, {"port": ours.port, "password": "geheim"}, by=None)
    assert resolve(ben).password == "bens own"


def test_password_that_a_user_entered_for_the_server_shown_does_not_go_to_the_one_after_it(ben):
    changes.save(None, COMPANY, by=None)
    CompanyOptions.objects.create(pk=1, users_may_edit=True)
    browser, path = browser_of(ben), "/preferences/email/"
    shown = browser.get(path).context["form"]
    typed = {name: shown[name].value() or "" for name in shown.fields} | {"username": "ben", "password": "bens own"}
    changes.save(None, {"host": "other.example.com", "password": "geheim"}, by=None)
    answer = browser.post(path, typed)
    assert answer.status_code == 422
    words = "settings have changed since this page was shown. Enter the password again if it is for other.example.com,"
    assert words in source(answer)
    assert (resolve(ben).password, resolve(ben).username) == ("geheim", "office")
    again = {name: answer.context["form"][name].value() or "" for name in shown.fields} | {"password": "bens own"}
    assert browser.post(path, again).status_code == 302, "and then it is meant for that one"
    assert (resolve(ben).password, resolve(ben).host) == ("bens own", "other.example.com")


def test_password_of_a_user_does_not_go_to_the_server_that_the_company_names_while_it_is_saved(ben, monkeypatch):
    changes.save(None, COMPANY, by=None)
    CompanyOptions.objects.create(pk=1, users_may_edit=True)
    save_layer = changes.save

    def while_the_company_moves(*args, **options):
        save_layer(None, {"host": "other.example.com"}, by=None)
        return save_layer(*args, **options)

    browser = browser_of(ben)
    monkeypatch.setattr(changes, "save", while_the_company_moves)
    assert save(browser, "/preferences/email/", username="ben", password="bens own").status_code == 302
    assert (resolve(ben).host, resolve(ben).password) == ("other.example.com", "")
    save_layer(None, {"host": COMPANY["host"]}, by=None)
    assert resolve(ben).password == "bens own"


def test_passwords_of_users_from_before_the_upgrade_are_bound_when_the_company_moves(ben):
    changes.save(None, COMPANY, by=None)
    changes.save(ben, {"username": "ben", "password": "bens own"}, by=ben)
    EmailSettings.objects.update(secrets_for={})
    assert (resolve(None).password, resolve(ben).password) == ("geheim", "bens own")
    changes.save(None, {"host": "other.example.com"}, by=None)
    assert (resolve(None).password, resolve(ben).password) == ("", "")


def test_file_of_this_server_that_names_another_port_does_not_get_a_stored_password(admin, opt_folder, servers):
    ours, other = servers
    changes.save(None, meant_for(ours), by=None)
    write_opt_files(opt_folder, port=str(other.port))
    assert f"not used: it is not for 127.0.0.1, port {other.port}" in source(admin.get("/setup/email/"))
    send_as(None)
    assert (other.heard("AUTH"), ours.heard("AUTH")) == ([], [])
    write_opt_files(opt_folder, port=str(other.port), password="of the file")
    assert resolve(None).password == "of the file"


def test_password_in_a_file_is_not_for_the_server_that_an_account_names(ben, opt_folder):
    changes.save(None, COMPANY, by=None)
    write_opt_files(opt_folder, password="of the file")
    assert resolve(ben).password == "of the file"
    changes.save(ben, {"host": "bens.example.com"}, by=ben)
    assert resolve(ben).password == ""
    assert resolve(None).password == "of the file"


@pytest.mark.parametrize(("name", "value"), [("port", "588"), ("host", "other.example.com"), ("username", "anna")])
def test_files_that_are_taken_over_drop_a_password_that_is_not_for_them(tmp_path, name, value):
    changes.save(None, COMPANY, by=None)
    write_opt_files(tmp_path, **{name: value})
    out = io.StringIO()
    call_command("import_opt_files", str(tmp_path), "--yes", stdout=out)
    assert "Password: stored -> none  (it is not for" in out.getvalue()
    assert EmailSettings.objects.get().password_encrypted == ""


def test_where_a_secret_is_meant_to_go_tells_nothing_of_it(ben):
    changes.save(None, COMPANY, by=None)
    row = EmailSettings.objects.get()
    named = {part: COMPANY.get(part, "") for part in secret_destinations.PARTS}
    assert row.secrets_for["password"] == secret_destinations.place(named | {"sign_in": "password"})
    assert not AuditEntry.objects.filter(field="secrets_for").exists()
    changes.save(None, {"password": ""}, by=None)
    assert EmailSettings.objects.get().secrets_for == {}
