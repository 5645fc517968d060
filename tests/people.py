"""People with a role, as the users page makes them."""

from django.contrib.auth.models import User

from messaging import roles


def make_user(username, email="", password=None, role=roles.OPERATOR, **values):
    """A user who may sign in; `role` "" for none."""
    user = User.objects.create_user(username, email, password, **values)
    roles.give(user, role)
    return user
