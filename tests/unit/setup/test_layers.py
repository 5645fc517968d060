"""Which settings will be used: the first layer that sets a value wins."""

from django.contrib.auth.models import User
from hypothesis import given
from hypothesis import strategies as st

from messaging.models import EmailSettings
from messaging.setup import layers
from messaging.setup.fields import LIMITS, NAMES, SECRETS, column
from messaging.setup.layers import Layer
from messaging.setup.opt_files import OptFiles
from messaging.setup.secrets import encrypt

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
