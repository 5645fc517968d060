from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"
    verbose_name = "Message queue"

    def ready(self) -> None:
        from messaging.setup import checks  # noqa: F401  (registers them)
