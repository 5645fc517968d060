from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate


class MessagingConfig(AppConfig):
    name = "messaging"
    verbose_name = "Message queue"

    def ready(self) -> None:
        from messaging.access import roles, sessions
        from messaging.access.sign_in_throttling import devices
        from messaging.setup import checks  # noqa: F401  (registers them)

        post_migrate.connect(roles.make_groups, sender=self, dispatch_uid="messaging.access.roles")
        user_logged_in.connect(devices.note, dispatch_uid="messaging.access.sign_in_throttling")
        user_logged_in.connect(sessions.begin, dispatch_uid="messaging.access.sessions")
