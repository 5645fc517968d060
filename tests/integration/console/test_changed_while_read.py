"""A page is read by several statements, and something changes between two of them: nothing is overwritten unseen."""

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection

from messaging import users
from messaging.access import roles
from tests.factories import browser_of, hold_mail, make_message, make_user
from tests.letter_form import saved
from tests.pages import form_of
from tests.steps import elsewhere

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


class After:
    """Does `work`, with a connection of its own, after the statement of that number that is about one of `tables`."""

    def __init__(self, number, tables, work):
        self.left, self.tables, self.work, self.is_done = number, tables, work, False

    def __call__(self, execute, sql, parameters, many, context):
        result = execute(sql, parameters, many, context)
        if any(f'FROM "{table}"' in sql for table in self.tables):
            self.left -= 1
            if not self.left:
                self.is_done = True
                thread = threading.Thread(target=elsewhere(self.work))
                thread.start()
                thread.join(20)
        return result


def each_place(try_one, tables):
    """Try all places where it may happen, until the page has no more statements about these tables."""
    number = 0
    while True:
        number += 1
        if not try_one(number, tables):
            return number - 1


def test_edit_of_another_user_is_kept_wherever_it_happens(admin, ben, email_setup):
    hold_mail()
    boss, bens_browser = admin, browser_of(ben)

    def try_one(number, tables):
        message = make_message("wrong@example.com", due=False)
        bens_page = bens_browser.get(f"/messages/{message.pk}/edit/")
        after = After(number, tables, lambda: saved(bens_browser, message, bens_page, to="right@example.com"))
        with connection.execute_wrapper(after):
            page = boss.get(f"/messages/{message.pk}/edit/")
        saved(boss, message, page, subject="Another subject")
        message.refresh_from_db()
        assert not after.is_done or message.recipients_text == "right@example.com", number
        return after.is_done

    assert each_place(try_one, ["messaging_message", "messaging_recipient", "messaging_messageversion"]) >= 3


def test_user_who_was_deactivated_stays_so_wherever_it_happens(admin, ben):
    roles.give(ben, roles.ADMIN)

    def try_one(number, tables):
        tom = make_user(f"tom{number}", role=roles.OPERATOR)
        url = f"/setup/users/{tom.pk}/"
        gone = {"is_active": False, "role": roles.VIEWER}
        after = After(number, tables, lambda: users.change(User.objects.get(pk=tom.pk), gone, by=ben))
        with connection.execute_wrapper(after):
            page = admin.get(url)
        admin.post(url, form_of(page, within="version") | {"last_name": "Oak"})
        tom = User.objects.get(pk=tom.pk)
        assert not after.is_done or (not tom.is_active and roles.given(tom) == roles.VIEWER), number
        return after.is_done

    assert each_place(try_one, ["auth_user", "auth_group", "messaging_auditentry"]) >= 3
