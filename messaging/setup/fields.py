"""The fields of a layer of Email Setup: their names, what people call them, and which belong together."""

from messaging.models import EmailSettings

SignIn = EmailSettings.SignIn

NAMES = (
    "send_type", "auth_type", "host", "port", "username", "password", "sign_in", "tenant", "client_id",
    "client_secret", "refresh_token", "service_account", "token_url", "scope", "ca_bundle", "from_address", "ehlo_name",
)  # fmt: skip
LIMITS = ("max_connections", "messages_per_connection", "per_minute", "per_hour", "sending_window", "time_zone")
SECRETS = ("password", "client_secret", "refresh_token", "service_account")
OAUTH = ("tenant", "client_id", "client_secret", "refresh_token", "service_account", "token_url", "scope")

LABELS = {
    "send_type": "Send type",
    "auth_type": "Auth type",
    "host": "Server",
    "port": "Port",
    "username": "User name",
    "password": "Password",
    "sign_in": "Way to sign in",
    "tenant": "Tenant",
    "client_id": "Client ID",
    "client_secret": "Client secret",
    "refresh_token": "Refresh token",
    "service_account": "Service account key",
    "token_url": "Sign-in server",
    "scope": "Scope",
    "ca_bundle": "Certificate authorities",
    "from_address": "From address",
    "ehlo_name": "EHLO name",
    "max_connections": "Connections at once",
    "messages_per_connection": "Messages per connection",
    "per_minute": "Messages per minute",
    "per_hour": "Messages per hour",
    "sending_window": "Sending window",
    "time_zone": "Time zone",
}

# What each way to sign in cannot do without.
NEEDS: dict[str, tuple[str, ...]] = {
    SignIn.PASSWORD: ("username", "password"),
    SignIn.MICROSOFT_APP: ("username", "tenant", "client_id", "client_secret"),
    SignIn.MICROSOFT_USER: ("username", "tenant", "client_id", "refresh_token"),
    SignIn.GOOGLE_SERVICE: ("username", "service_account"),
    SignIn.GOOGLE_USER: ("username", "client_id", "client_secret", "refresh_token"),
    SignIn.OAUTH2: ("username", "client_id", "token_url"),
}


def label_within(name: str) -> str:
    """What people call a field, within a sentence: “client ID”."""
    return LABELS[name][0].lower() + LABELS[name][1:]


def column(name: str) -> str:
    """The column of EmailSettings that keeps a field."""
    return f"{name}_encrypted" if name in SECRETS else name


# Which ways to sign in a field belongs to; what is not named belongs to all settings.
WAYS: dict[str, tuple[str, ...]] = {
    "password": (SignIn.PASSWORD,),
    "tenant": (SignIn.MICROSOFT_APP, SignIn.MICROSOFT_USER),
    "client_id": (SignIn.MICROSOFT_APP, SignIn.MICROSOFT_USER, SignIn.GOOGLE_USER, SignIn.OAUTH2),
    "client_secret": (SignIn.MICROSOFT_APP, SignIn.GOOGLE_USER, SignIn.OAUTH2),
    "refresh_token": (SignIn.MICROSOFT_USER, SignIn.GOOGLE_USER, SignIn.OAUTH2),
    "service_account": (SignIn.GOOGLE_SERVICE,),
    "token_url": tuple(way for way in SignIn.values if way != SignIn.PASSWORD),
    "scope": tuple(way for way in SignIn.values if way != SignIn.PASSWORD),
}
# An application or a service account signs in as whomever the user name says.
FOR_ANY_MAILBOX = (SignIn.MICROSOFT_APP, SignIn.GOOGLE_SERVICE, SignIn.OAUTH2)
# What people who are no administrators may set for themselves, where they may set anything.
OF_USERS = ("send_type", "auth_type", "host", "port", "sign_in", "username", "password", "from_address")
