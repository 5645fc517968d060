"""How mail leaves: settings by layer, and signs of life."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Coalesce

from .phrase import PhraseField


class EmailSettings(models.Model):
    """One layer of Email Setup: the company's (no account) or one account's own. Empty fields fall through.

    The values are those of the seed (S11 and S12). setup/layers.py resolves them value by value.
    """

    class SendType(models.IntegerChoices):
        MAPI_OLD = 0, "0 – MAPI with Outlook XP or earlier"
        MAPI = 1, "1 – MAPI with Outlook 2003 or later, or another mail program"
        SMTP = 2, "2 – SMTP without authentication"
        SMTP_AUTH = 3, "3 – SMTP with authentication"

    class AuthType(models.TextChoices):
        DEFAULT = "default", "default – password in the clear, no TLS"
        SSL = "ssl", "ssl – SSL 3.0 only (not available on this machine)"
        TLS_IMPLICIT = "tls-implicit", "tls-implicit – TLS from the first byte, usually port 465"
        TLS_EXPLICIT = "tls-explicit", "tls-explicit – STARTTLS, usually port 587"

    class SignIn(models.TextChoices):
        PASSWORD = "password", "User name and password"
        MICROSOFT_APP = "microsoft-app", "Microsoft 365, as an application (client secret)"
        MICROSOFT_USER = "microsoft-user", "Microsoft 365, signed in by a person"
        GOOGLE_SERVICE = "google-service", "Google Workspace, service account"
        GOOGLE_USER = "google-user", "Google, signed in by a person (refresh token)"
        OAUTH2 = "oauth2", "Another provider of OAuth 2.0 (token endpoint)"

    account = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="email_settings"
    )
    send_type = models.PositiveSmallIntegerField(choices=SendType, null=True, blank=True)
    auth_type = models.CharField(max_length=12, choices=AuthType, blank=True)
    host = models.CharField("server", max_length=255, blank=True)
    port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    username = models.CharField("user name", max_length=255, blank=True)
    password_encrypted = models.TextField(blank=True)
    sign_in = models.CharField("way to sign in", max_length=14, choices=SignIn, blank=True)
    tenant = models.CharField(max_length=255, blank=True)
    client_id = models.CharField("client ID", max_length=255, blank=True)
    client_secret_encrypted = models.TextField(blank=True)
    refresh_token_encrypted = models.TextField(blank=True)
    service_account_encrypted = models.TextField(blank=True)
    secrets_for = models.JSONField(
        default=dict,
        blank=True,
        help_text="By secret, the place that it was entered for.",
    )
    token_url = models.CharField("sign-in server", max_length=500, blank=True)
    scope = models.CharField(max_length=500, blank=True)
    ca_bundle = models.TextField("certificate authorities", blank=True, help_text="PEM; trusted beside the system's.")
    from_address = models.CharField(max_length=320, blank=True)
    chose_from_address = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The user chose the From address themselves: it counts while they may send from it.",
    )
    ehlo_name = models.CharField("EHLO name", max_length=255, blank=True)
    max_connections = models.PositiveIntegerField(
        "connections at once", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    messages_per_connection = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100_000)]
    )
    per_minute = models.PositiveIntegerField(
        "messages per minute", null=True, blank=True, validators=[MaxValueValidator(1_000_000)]
    )
    per_hour = models.PositiveIntegerField(
        "messages per hour", null=True, blank=True, validators=[MaxValueValidator(10_000_000)]
    )
    sending_window = models.CharField(max_length=200, blank=True)
    time_zone = models.CharField(max_length=60, blank=True)
    version = models.PositiveIntegerField(default=1, help_text="Grows with every save, for optimistic locking.")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name_plural = "email settings"
        constraints = [models.UniqueConstraint(Coalesce("account", 0), name="one_layer_per_account")]

    def __str__(self) -> str:
        return f"Email settings of {self.account or 'the company'}"


class AccessToken(models.Model):
    """The latest token of one sign-in (OAuth 2.0), encrypted; `key` is a digest of all that it was asked for with.

    `refresh_token_encrypted` is the one that came with it, where a provider gives a new one each time. A process
    that renews it says so in `renewing_until`, so that one process does at a time.
    """

    key = models.CharField(max_length=64, primary_key=True)
    token_encrypted = models.TextField(blank=True)
    refresh_token_encrypted = models.TextField(blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    renewing_until = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.key[:8]


class Heartbeat(models.Model):
    """When a background process last showed that it works; the console warns when it is too long ago.

    With a `note`, it is the process that says what keeps its server from sending: `.opt` files in `errors`.
    """

    name = models.CharField(max_length=100, primary_key=True)
    at = models.DateTimeField()
    note = PhraseField()

    def __str__(self) -> str:
        return f"{self.name} {self.at:%H:%M:%S}"
