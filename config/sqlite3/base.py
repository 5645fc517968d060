"""The backend itself; Django looks for it in a module of this name."""

import sqlite3
from contextlib import closing

from django.db.backends.sqlite3 import base, features


def _knows_json() -> bool:
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute("SELECT JSON('{}')")
        except sqlite3.OperationalError:
            return False
    return True


class DatabaseFeatures(features.DatabaseFeatures):
    # Django asks the file, once per thread, and takes a lock that it meets there for a "no" that it never asks again.
    supports_json_field = _knows_json()


class DatabaseWrapper(base.DatabaseWrapper):
    features_class = DatabaseFeatures
