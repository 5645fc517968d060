"""Administration > Defaults > Users, and one's own password."""

import re

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from messaging import users
from messaging.access import policy, roles
from messaging.audit import ChangedMeanwhile
from messaging.company import options
from messaging.console.forms.users import UserForm
from messaging.models import AuditEntry
from messaging.setup import changes
from tests.factories import make_message, make_user
from tests.pages import source, words
from tests.steps import in_threads

pytestmark = pytest.mark.django_db
LONG = "correct horse battery"


def filled(user, **values):
    """The form of a user as the page shows it, with some values changed."""
    names = ("username", "first_name", "last_name", "email")
    form = {name: getattr(user, name) for name in names}
    form |= {"role": roles.given(user), "version": users.version_of(user.pk)}
    form |= {"is_active": "on"} if user.is_active else {}
    form |= values
    return {name: value for name, value in form.items() if value is not None}


def save(browser, user, **values):
    return browser.post(f"/setup/users/{user.pk}/", filled(user, **values), follow=True)


def shown_password(response):
    return re.search(r'class="sign-in-code[^>]*>([^<]*)<', response.content.decode())[1]


def may_sign_in(username, password):
    return Client().login(username=username, password=password)


def test_list_has_role_address_last_sign_in_and_email_settings(admin, ben):
    Client().login(username="ben", password=LONG)
    gone = make_user("gone", is_active=False, role=roles.VIEWER)
    page = admin.get("/setup/users/")
    said = words(page)
    for word in ("Ben Okoro", "ben@office.example", "Operator", "Administrator", "Viewer", "Deactivated", "never"):
        assert word in said, word
    assert f'href="/setup/users/{gone.pk}/"' in page.content.decode()
    assert 'href="/setup/email/users/ben/"' in page.content.decode()


def test_user_is_added_with_a_password_that_is_shown_once(admin, django_user_model):
    form = {"username": "vera", "first_name": "Vera", "last_name": "Smith", "email": "v@office.example"}
    page = admin.post("/setup/users/", form | {"role": roles.VIEWER, "password": ""})
    password = shown_password(page)
    assert may_sign_in("vera", password)
    vera = django_user_model.objects.get(username="vera")
    assert (vera.get_full_name(), vera.email, roles.role_of(vera)) == ("Vera Smith", "v@office.example", roles.VIEWER)
    assert "no-store" in page["Cache-Control"]
    assert password not in admin.get("/setup/users/").content.decode()
    assert password not in str(list(AuditEntry.objects.values()))


def test_user_is_added_with_a_typed_password(admin):
    page = admin.post("/setup/users/", {"username": "vera", "role": roles.OPERATOR, "password": LONG}, follow=True)
    assert "vera was added." in words(page)
    assert LONG not in page.content.decode()
    assert may_sign_in("vera", LONG)


@pytest.mark.parametrize(
    "values, said",
    [
        ({"username": ""}, "This field is required"),
        ({"username": "a b"}, "Enter a valid username"),
        ({"username": "Anna"}, "Another user has this user name"),
        ({"username": "."}, "dots alone mean another page"),
        ({"username": ".."}, "dots alone mean another page"),
        ({"username": "..."}, "dots alone mean another page"),
        ({"email": "nowhere"}, "Enter a valid email address"),
        ({"password": "12345"}, "too short"),
        ({"password": "vera-smith"}, "too similar"),
        ({"role": "King"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_and_nobody_is_added(admin, django_user_model, values, said):
    page = admin.post("/setup/users/", {"username": "vera-smith", "role": roles.VIEWER, "password": LONG} | values)
    assert page.status_code == 422
    assert said in words(page)
    assert django_user_model.objects.count() == 1


SAME = [
    ("m.groß", "m.gross"), ("m.gross", "m.groß"), ("M.GROSS", "m.groß"), ("nikos.σ", "nikos.ς"), ("ſam", "Sam"),
    ("ﬁnn", "FINN"), ("ŉa", "\u02bcNA"), ("ｖera", "Vera"), ("jo\u0308rg", "JÖRG"), ("\u1fb4lex", "ά\u03b9lex"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_name_that_people_take_for_that_of_another_user_is_refused(admin, ben, one, other):
    make_user(one)
    added = admin.post("/setup/users/", {"username": other, "role": roles.OPERATOR, "password": LONG})
    assert added.status_code == 422 and "Another user has this user name" in words(added)
    assert "Another user has this user name" in words(save(admin, ben, username=other))
    with pytest.raises(CommandError, match="Another user has this user name"):
        call_command("createoperator", other, generate=True)
    assert User.objects.count() == 3


def test_own_name_may_be_written_otherwise(admin):
    rosa = make_user("rosa.groß")
    assert "Saved." in words(save(admin, rosa, username="Rosa.Gross"))
    assert User.objects.filter(username="Rosa.Gross").exists()


def test_users_who_have_such_names_already_keep_them(admin):
    one, other = make_user("m.groß"), make_user("m.gross")
    for user in (one, other):
        assert "Saved." in words(save(admin, user, last_name="Groß"))
    assert "Another user has this user name" in words(save(admin, one, username="M.Gross", version=1))
    assert "Saved." in words(save(admin, one, username="max.groß", version=1))


def test_everything_of_a_user_is_changed_and_kept_with_who_did_it(admin, ben, operator):
    page = save(admin, ben, username="benedict", last_name="Oak", email="b@x.example", role=roles.ADMIN, is_active=None)
    assert "Saved." in words(page)
    ben.refresh_from_db()
    assert (ben.username, ben.last_name, ben.email, ben.is_active) == ("benedict", "Oak", "b@x.example", False)
    assert roles.given(ben) == roles.ADMIN
    kept = {change.field: (change.before, change.after) for change in AuditEntry.objects.filter(by=operator)}
    assert kept == {
        "username": ("ben", "benedict"), "last_name": ("Okoro", "Oak"), "is_active": (True, False),
        "email": ("ben@office.example", "b@x.example"), "role": ("Operator", "Administrator"),
    }  # fmt: skip
    assert "Role from “Operator” to “Administrator”" in words(admin.get("/setup/users/"))
    assert "Nothing was changed." in words(save(admin, ben))


@pytest.mark.parametrize("name", ["ｔｏｍａｓ", "ﬁona", "ªbc"])
def test_renamed_user_signs_in_with_the_name_as_it_is_typed(admin, name):
    tom = make_user("tom", "tom@office.example", LONG)
    assert "Saved" in words(save(admin, tom, username=name))
    form = {"username": name, "password": LONG}
    assert Client().post("/accounts/login/", form).status_code == 302


def test_nobody_is_renamed_to_dots_and_who_has_such_a_name_keeps_it(admin, ben):
    assert "dots alone mean another page" in words(save(admin, ben, username=".."))
    type(ben).objects.filter(pk=ben.pk).update(username="..")  # before it was refused
    ben.refresh_from_db()
    assert "Saved." in words(save(admin, ben, last_name="Oak"))
    assert "Saved." in words(save(admin, type(ben).objects.get(pk=ben.pk), username="ben.."))


def test_own_password_is_not_made_but_changed_with_the_old_one(admin, operator):
    """A cookie alone is not enough, as it is not for the second factor."""
    page = f"/setup/users/{operator.pk}/"
    assert admin.post(f"{page}password/")["Location"] == "/preferences/password/"
    assert may_sign_in("anna", "pw")
    assert "Make a new password" not in words(admin.get(page))
    assert 'Change your own under <a href="/preferences/password/">' in source(admin.get(page))


def test_changes_of_users_are_none_of_email_setup_and_of_the_options(admin, ben):
    save(admin, ben, role=roles.VIEWER, email="b@x.example")
    admin.post(f"/setup/users/{ben.pk}/password/")
    assert users.log().count() == 3
    assert not changes.log(ben).exists()
    assert not changes.log(None).exists()
    assert not options.log().exists()
    assert "Changes so far" not in words(admin.get("/setup/email/users/ben/"))


def test_deactivated_user_is_out_at_once(admin, ben):
    browser = Client()
    browser.force_login(ben)
    assert browser.get("/messages/").status_code == 200
    save(admin, ben, is_active=None)
    assert browser.get("/messages/").status_code == 302
    assert not may_sign_in("ben", LONG)
    save(admin, type(ben).objects.get(pk=ben.pk), is_active="on")
    assert may_sign_in("ben", LONG)


def test_last_administrator_keeps_role_and_nobody_deactivates_themselves(admin, operator, ben):
    page = save(admin, operator, role=roles.OPERATOR)
    assert "last active administrator" in words(page)
    roles.give(ben, roles.ADMIN)
    assert "You cannot deactivate yourself" in words(save(admin, operator, is_active=None))
    operator.refresh_from_db()
    assert (operator.is_active, roles.role_of(operator)) == (True, roles.ADMIN)
    save(admin, operator, role=roles.OPERATOR)  # Ben is left
    assert admin.get("/setup/users/").status_code == 302, "another role, another session"
    admin.force_login(operator)
    assert admin.get("/setup/users/").status_code == 403
    ben.is_active = False
    ben.save()
    with pytest.raises(users.NotAllowed, match="last active"):  # by a superuser who is not in the group
        roles.give(operator, roles.ADMIN)
        users.change(operator, {"is_active": False}, by=ben)


@pytest.mark.django_db(transaction=True)
def test_two_administrators_cannot_take_the_role_from_each_other_at_the_same_moment(operator, ben):
    for user in (operator, ben):
        roles.give(user, roles.ADMIN)

    pairs = [(operator, ben), (ben, operator)]

    def demote():
        user, by = pairs.pop()
        users.change(user, {"role": roles.VIEWER}, by=by)

    errors = in_threads(2, demote)
    assert [type(error) for error in errors] == [users.NotAllowed]
    assert roles.admins().count() == 1


def test_new_password_is_shown_once_and_ends_the_old_one(admin, ben, operator):
    browser = Client()
    browser.force_login(ben)
    page = admin.post(f"/setup/users/{ben.pk}/password/")
    assert may_sign_in("ben", shown_password(page))
    assert not may_sign_in("ben", LONG)
    assert browser.get("/messages/").status_code == 302
    change = users.log().first()
    told = (change.field, change.action, change.after, change.object_name, change.by)
    assert told == ("password", "secret changed", None, "ben", operator)


@pytest.mark.parametrize("role", ["", *roles.ROLES])
def test_everybody_changes_their_own_password(ben, role):
    roles.give(ben, role)
    browser = Client()
    browser.force_login(ben)
    form = {"old_password": LONG, "new_password1": "another long one", "new_password2": "another long one"}
    wrong = browser.post("/preferences/password/", form | {"old_password": "no"})
    assert wrong.status_code == 422
    assert may_sign_in("ben", LONG)
    page = browser.post("/preferences/password/", form, follow=True)
    assert "Your password was changed." in words(page)
    assert may_sign_in("ben", "another long one")


def test_deactivated_author_stays_on_messages(admin, ben):
    message = make_message("c@example.com", author=ben, due=False)
    save(admin, ben, is_active=None)
    assert "Ben Okoro" in words(admin.get(f"/messages/{message.pk}/"))


def test_name_that_somebody_took_at_the_same_moment_is_told(admin, ben, operator, django_user_model, monkeypatch):
    """The form found it free, and then it was not."""
    vera = make_user("vera")
    monkeypatch.setattr(UserForm, "clean_username", lambda form: form.cleaned_data["username"])
    monkeypatch.setattr(UserForm, "validate_unique", lambda form: None)
    for name in ("vera", "Vera"):
        assert "Another user has this user name" in words(save(admin, ben, username=name))
        added = admin.post("/setup/users/", {"username": name, "role": roles.OPERATOR, "password": ""})
        assert added.status_code == 422 and "Another user has this user name" in words(added)
    assert set(django_user_model.objects.all()) == {operator, ben, vera}


def test_change_of_another_administrator_after_the_form_was_checked_is_not_saved_over(ben, operator):
    seen = users.version_of(ben.pk)
    users.change(ben, {"role": roles.VIEWER}, by=operator, seen=seen)
    with pytest.raises(ChangedMeanwhile):
        users.change(ben, {"role": roles.OPERATOR}, by=operator, seen=seen)
    assert roles.given(ben) == roles.VIEWER


def test_addresses_that_are_listed_for_a_user_go_with_a_new_name_and_to_no_heir_of_the_old_one(admin, ben):
    listed = "ben boss@office.example\n* info@office.example\nbenno sales@office.example"
    options.save({"user_senders": listed}, by=None)
    save(admin, ben, username="benedict")
    admin.post("/setup/users/", {"username": "ben", "role": roles.OPERATOR, "password": LONG})
    benedict, heir = (User.objects.get(username=name) for name in ("benedict", "ben"))
    assert policy.may_send_from(benedict, "boss@office.example")
    assert not policy.may_send_from(heir, "boss@office.example")
    assert options.options().user_senders == listed.replace("ben boss", "benedict boss")
    assert AuditEntry.objects.filter(field="user_senders", by__isnull=False).count() == 1
    version = options.options().version
    save(admin, heir, username="bert")
    assert options.options().version == version, "nothing was listed for that name"
