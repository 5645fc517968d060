"""A setup form that is saved again after others saved theirs puts back nothing that its person did not touch."""

import pytest

from messaging.access import roles
from tests.audit import EMAIL, OPTIONS, SCHEDULES, USERS, as_shown, make_schedule, post, save, words
from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

EMAIL_THEIRS = (
    {"host": "b.example.com", "port": "587", "send_type": "3", "username": "ben", "auth_type": "tls-explicit"},
    {
        "ehlo_name": "new.example.com",
        "per_minute": "7",
        "sending_window": "daily 08:00-18:00",
        "time_zone": "UTC",
        "port": "",
    },
)
OPTIONS_THEIRS = (
    {"record_mail": "on", "expire_days": "30", "other_categories": "alarm", "failed_window_minutes": "5"},
    {"company_name": "Ben & Co", "language": "en-us", "max_tries": "4", "expire_days": "", "record_mail": None},
)


def in_form(response):
    """What a browser would send from the form of a page again."""
    values = {bound.html_name: bound.value() for bound in response.context["form"]}
    values = {name: "on" if value is True else value for name, value in values.items()}
    return {name: value for name, value in values.items() if value is not None and value is not False}


@pytest.mark.parametrize(
    ("path", "theirs", "mine"),
    [(EMAIL, EMAIL_THEIRS, "from_address"), (OPTIONS, OPTIONS_THEIRS, "company_address")],
)
def test_what_was_not_touched_stays_as_others_saved_it(admin, second_admin, path, theirs, mine):
    save(second_admin, path, **({"host": "a.example.com", "port": "25"} if path == EMAIL else {"expire_days": "9"}))
    opened = as_shown(admin, path) | {mine: "mine@example.com"}
    for values in theirs:
        save(second_admin, path, **values)
        expected = as_shown(second_admin, path)
        response = post(admin, path, opened)
        assert response.status_code == 422
        opened = in_form(response)
    assert post(admin, path, opened).status_code == 302
    now = as_shown(admin, path)
    assert now | {"version": 0} == expected | {mine: "mine@example.com", "version": 0}


def test_schedule_of_others_is_not_saved_over(admin, second_admin, email_setup):
    path = f"{SCHEDULES}{make_schedule(admin).pk}/"
    opened = as_shown(admin, path) | {"name": "Mine"}
    save(second_admin, path, times="09:00", at_most="5")
    expected = as_shown(second_admin, path)
    for _ in range(2):
        response = post(admin, path, opened)
        assert response.status_code == 422
        opened = in_form(response)
    assert as_shown(admin, path) == expected


@pytest.mark.parametrize(
    "theirs", [{"role": roles.VIEWER}, {"is_active": None}, {"email": "b@example.com", "role": ""}]
)
def test_role_that_another_administrator_took_is_not_given_back(admin, second_admin, theirs):
    path = f"{USERS}{make_user('carla').pk}/"
    opened = as_shown(admin, path) | {"last_name": "Okoro-Smith"}
    save(second_admin, path, **theirs)
    expected = as_shown(second_admin, path)
    response = post(admin, path, opened)
    assert response.status_code == 422
    assert words(response).count("Another user changed this user") == 1
    assert post(admin, path, in_form(response)).status_code == 302
    now = as_shown(admin, path)
    assert now | {"version": 0} == expected | {"last_name": "Okoro-Smith", "version": 0}


@pytest.mark.parametrize("version", [None, "", "0", "-1", "9" * 30, "abc"])
def test_user_form_of_a_page_that_knew_no_versions_gives_no_role_back(admin, second_admin, version):
    carla = make_user("carla")
    path = f"{USERS}{carla.pk}/"
    opened = as_shown(admin, path) | {"last_name": "Okoro-Smith", "version": version}
    save(second_admin, path, role=roles.VIEWER)
    response = post(admin, path, opened)
    assert response.status_code == 422
    assert roles.given(carla) == roles.VIEWER
    assert post(admin, path, in_form(response)).status_code == 302
    carla.refresh_from_db()
    assert (carla.last_name, roles.given(carla)) == ("Okoro-Smith", roles.VIEWER)


@pytest.mark.parametrize("fields", [{"email": "c@example.com"}, {"is_active": ""}, {"role": ""}])
def test_stale_user_form_that_is_wrong_as_well_gives_no_role_back(admin, second_admin, fields):
    """What is wrong is told with what others changed, and Save again puts nothing back that was not touched."""
    carla = make_user("carla", email="old@example.com")
    path = f"{USERS}{carla.pk}/"
    opened = as_shown(admin, path) | {"first_name": "x" * 200}
    save(second_admin, path, **fields)
    expected = as_shown(second_admin, path)
    response = post(admin, path, opened)
    again = in_form(response) | {"first_name": "Carla Maria"}
    while (response := post(admin, path, again)).status_code == 422:
        assert "Another user changed this user" in words(response)
        again = in_form(response)
    now = as_shown(admin, path)
    assert now | {"version": 0} == expected | {"first_name": "Carla Maria", "version": 0}
