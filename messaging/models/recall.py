"""What was being sent when the person in whose name it goes out left."""

from django.conf import settings
from django.db import models


class Recall(models.Model):
    """What is to become of such a message if it comes back into the queue for another try; gone once that is known."""

    class Choice(models.TextChoices):
        HOLD = "hold", "Hold it"
        PASS_ON = "pass-on", "Pass it on"
        CANCEL = "cancel", "Cancel what has not gone out"
        LET_GO = "let-go", "Let it go"

    message = models.OneToOneField("Message", models.CASCADE, primary_key=True, related_name="recall")
    account = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", help_text="Who left.")
    choice = models.CharField(max_length=8, choices=Choice)
    successor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="With pass-on: the account it goes out with then; empty: the company's.",
    )
    is_inactive = models.BooleanField(help_text="Deactivated; otherwise only the right to send was taken away.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", help_text="Who decided.")

    def __str__(self) -> str:
        return f"{self.message_id}: {self.get_choice_display()}"
