"""Who changed which setting: one log for all of them."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class AuditEntry(models.Model):
    """One change: of a field, or of an object that was made or deleted. Never changed itself.

    A row holds keys and values and no words: console/presentation/audit.py makes those when it is shown. `before` and
    `after` are what the field stores (a number, a text, true, false, null), and of some fields:

    - a text with one value per line: a list of texts
    - a user: {"id": 3, "name": "Anna Smith"}, the name they had then; `id` is null where it is not known any more
    - certificate authorities: [{"name", "begins", "ends", "fingerprint"}, ...], see setup/certificates.py

    CREATED and DELETED have the object's fields in `after` and `before`: {field: value}, those that are known. What
    version 0.1.0 kept in words that cannot be read back is {"words": "..."}.
    """

    class Area(models.TextChoices):
        EMAIL = "email", "Email Setup"
        OPTIONS = "options", "Company options"
        NOTICES = "notices", "Notices"
        USERS = "users", "Users"
        SCHEDULES = "schedules", "Schedules"
        RESTORES = "restores", "Restored backups"
        OTHER = "other", "Not known to this version"

    class Action(models.TextChoices):
        CHANGED = "changed", "Changed"
        CREATED = "created", "Made"
        DELETED = "deleted", "Deleted"
        # Of a field whose value is never told.
        SECRET_SET = "secret set", "Secret set"
        SECRET_CHANGED = "secret changed", "Secret changed"
        SECRET_REMOVED = "secret removed", "Secret removed"

    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    by_name = models.CharField(max_length=150, blank=True, help_text="Their user name then; empty: a command.")
    via = models.CharField(max_length=40, blank=True, help_text="The command; empty: the console.")
    area = models.CharField(max_length=10, choices=Area)
    object_key = models.CharField(
        max_length=160,
        blank=True,
        help_text="Which one: the number of a user or schedule, the kind of notice; empty: the company's.",
    )
    object_name = models.CharField(max_length=150, blank=True, help_text="What it was called then.")
    action = models.CharField(max_length=14, choices=Action, default=Action.CHANGED)
    field = models.CharField(max_length=40, blank=True)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    version = models.PositiveIntegerField(
        default=0, help_text="Of the object, after this change; 0: it has no versions."
    )

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["area", "object_key", "-id"], name="audit_object")]
        constraints = [
            models.CheckConstraint(
                condition=Q(action__in=("changed", "created", "deleted")) | Q(before__isnull=True, after__isnull=True),
                name="secret_is_not_told",
            )
        ]

    def __str__(self) -> str:
        return f"{self.area} {self.object_key} {self.field} {self.action}"

    @property
    def is_emptied(self) -> bool:
        """Whether the field has no value any more."""
        return self.action == self.Action.SECRET_REMOVED or self.after in (None, "")
