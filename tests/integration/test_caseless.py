"""Search does not mind the case of any letter, on both databases."""

import pytest
from django.contrib.auth.models import User
from django.db.models import CharField, Value
from hypothesis import given
from hypothesis import strategies as st

from messaging.models import Message
from tests.factories import make_message, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def some(db):
    author = make_user("jörg", first_name="Jörg", last_name="Øst")
    make_message("müller@example.com", subject="Ärger mit der GRÖSSE von Öfen", author=author)
    make_message("c@example.com", subject="Счёт за Ноябрь", raw=FROM_UMLAUT)
    make_message("d@example.com", subject="100% [Ü]*? a_b\\c")


FROM_UMLAUT = "From: ÜBERSEE GmbH <o@example.com>\r\nTo: c@example.com\r\nSubject: Счёт за Ноябрь\r\n\r\nx\r\n".encode()


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("q=ärger", 1), ("q=ÄRGER", 1), ("q=grösse öFEN", 1), ("q=größe", 0), ("q=MÜLLER@example", 1), ("q=muller", 0),
        ("q=счёт", 1), ("q=СЧЁТ НОЯБРЬ", 1), ("q=übersee", 1), ("q=[ü]", 1), ("q=[ü]*", 1), ("q=ü]*?", 1), ("q=*ü", 0),
        ("q=ü?", 0), ("q=[üx]", 0), ("sender=ÜbErSeE", 1), ("sender=JÖRG", 1), ("sender=øST", 1),
    ],
)  # fmt: skip
def test_lists_are_searched_whatever_the_case(office, some, query, number):
    for page in ("/messages/?status=all&", "/batches/new/?"):
        Message.objects.update(not_before=None)
        assert office.get(page + query).context["page"].total == number, page


def test_name_that_differs_in_case_only_is_taken(admin, some):
    fields = {"email": "joerg@office.example", "username": "JÖRG", "role": "Operator", "is_active": "on"}
    page = admin.post("/setup/users/", fields)
    assert page.status_code == 422
    assert "username" in page.context["form"].errors
    assert User.objects.filter(username__iexact="JÖRG").count() == 1


def test_recipients_are_suggested_whatever_the_case(some, office):
    found = office.get("/messages/new/addresses/?q=MÜL").json()["found"]
    assert [each["address"] for each in found] == ["müller@example.com"]


LETTERS = st.text("aAsSÄäÖöÜüßÉéÑñŁłŠšЖжЁёΩωÞþ*?[]%_\\^-! ", max_size=6)
LOOKUPS = {
    "icontains": lambda text, asked: asked in text,
    "istartswith": str.startswith,
    "iendswith": str.endswith,
    "iexact": str.__eq__,
}


@given(asked=LETTERS.filter(bool), around=st.tuples(LETTERS, LETTERS), text=LETTERS, is_in=st.booleans())
@pytest.mark.parametrize("lookup", LOOKUPS)
def test_what_is_found_is_what_python_finds_in_lower_case(lookup, asked, around, text, is_in):
    text = around[0] + asked.swapcase() + around[1] if is_in and "ß" not in asked else text
    rows = User.objects.annotate(text=Value(text, CharField())).order_by()
    if not rows.exists():
        make_user("one")
    expected = LOOKUPS[lookup](text.lower(), asked.lower())
    assert rows.filter(**{f"text__{lookup}": asked}).exists() == expected
