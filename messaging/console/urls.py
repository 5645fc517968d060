"""The pages of the console. Names `message` and `batch` are those of the models' get_absolute_url."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter
from django.views.generic import RedirectView

from .caching import Logout
from .views import (
    batches,
    bulk,
    check,
    compose,
    content,
    editing,
    health,
    login,
    messages,
    notices,
    options,
    restores,
    schedules,
    second_factor,
    sending,
    sessions,
    setup,
    sign_in,
    submitted,
    suggestions,
    users,
)
from .views.target import Whose


class UserName(StringConverter):
    """Whatever a user may be called; PostgreSQL keeps no NUL, and raises an error when it is asked for one."""

    regex = "[^/\\x00]+"


register_converter(UserName, "username")

# Whose settings a page of Email Setup is about, and what it tries.
COMPANY, USER, OWN = ({"whose": each} for each in (Whose.COMPANY, Whose.USER, Whose.OWN))
CHECK, TEST = ({"what": each} for each in ("check", "test"))

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="messages"), name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("health/", health.overall, name="health"),
    path("accounts/login/", login.Login.as_view(), name="login"),
    path("accounts/login/code/", second_factor.code, name="login-code"),
    path("accounts/logout/", Logout.as_view(), name="logout"),
    path("accounts/session/", sessions.state, name="session"),
    path("messages/", messages.queue_list, name="messages"),
    path("messages/bulk/", bulk.act, name="messages-bulk"),
    path("messages/new/", compose.new, name="message-new"),
    path("messages/new/addresses/", suggestions.addresses, name="message-addresses"),
    path("messages/new/<uuid:key>/", submitted.submitted, name="message-submitted"),
    path("messages/<int:pk>/", messages.detail, name="message"),
    path("messages/<int:pk>/edit/", editing.edit, name="message-edit"),
    path("messages/<int:pk>/versions/<int:number>/", editing.version, name="message-version"),
    path("messages/<int:pk>/versions/<int:number>/eml/", editing.version_eml, name="message-version-eml"),
    path("messages/<int:pk>/html/", content.html_body, name="message-html"),
    path("messages/<int:pk>/eml/", content.eml, name="message-eml"),
    path("messages/<int:pk>/draft/", content.draft, name="message-draft"),
    path("messages/<int:pk>/attachments/<int:number>/", content.attachment, name="attachment"),
    path("messages/<int:pk>/attempts/<int:attempt>/", messages.attempt_page, name="message-attempt"),
    path("messages/<int:pk>/newer/", messages.neighbour, {"newer": True}, name="message-newer"),
    path("messages/<int:pk>/older/", messages.neighbour, {"newer": False}, name="message-older"),
    path("messages/<int:pk>/<slug:action>/", messages.act, name="message-action"),
    path("batches/", batches.all_batches, name="batches"),
    path("batches/new/", batches.new, name="batch-new"),
    path("batches/<int:pk>/", batches.batch_page, name="batch"),
    path("batches/<int:pk>/progress/", batches.progress, name="batch-progress"),
    path("batches/<int:pk>/items/", batches.item_list, name="batch-items"),
    path("batches/<int:pk>/confirm/", batches.confirm, name="batch-confirm"),
    path("batches/<int:pk>/cancel/", batches.cancel, name="batch-cancel"),
    path("batches/<int:pk>/retry/", batches.retry, name="batch-retry"),
    path("notices/", notices.notice_list, name="notices"),
    path("sending/", sending.overview, name="sending"),
    path("sending/<slug:whose>/<slug:action>/", sending.act, name="sending-action"),
    path("restored/", restores.overview, name="restores"),
    path("restored/<int:pk>/", restores.answer, name="restore-answer"),
    path("setup/email/", setup.email_setup, COMPANY, name="setup-email"),
    path("setup/email/users/", setup.users, name="setup-email-users"),
    path("setup/email/users/<username:username>/", setup.email_setup, USER, name="setup-user"),
    path("setup/options/", options.company_options, name="setup-options"),
    path("preferences/email/", setup.email_setup, OWN, name="preferences-email"),
    path("setup/email/sign-in/", sign_in.sign_in, COMPANY, name="setup-email-sign-in"),
    path("setup/email/users/<username:username>/sign-in/", sign_in.sign_in, USER, name="setup-user-sign-in"),
    path("preferences/email/sign-in/", sign_in.sign_in, OWN, name="preferences-email-sign-in"),
    path("setup/email/check/", check.check, COMPANY | CHECK, name="setup-email-check"),
    path("setup/email/test/", check.check, COMPANY | TEST, name="setup-email-test"),
    path("setup/email/users/<username:username>/check/", check.check, USER | CHECK, name="setup-user-check"),
    path("setup/email/users/<username:username>/test/", check.check, USER | TEST, name="setup-user-test"),
    path("preferences/email/check/", check.check, OWN | CHECK, name="preferences-email-check"),
    path("preferences/email/test/", check.check, OWN | TEST, name="preferences-email-test"),
    path("setup/schedules/", schedules.all_schedules, name="setup-schedules"),
    path("setup/schedules/new/", schedules.new, name="setup-schedule-new"),
    path("setup/schedules/preview/", schedules.preview, name="setup-schedule-preview"),
    path("setup/schedules/<int:pk>/", schedules.schedule_page, name="setup-schedule"),
    path("setup/schedules/<int:pk>/switch/", schedules.switch, name="setup-schedule-switch"),
    path("setup/schedules/<int:pk>/run/", schedules.run, name="setup-schedule-run"),
    path("setup/schedules/<int:pk>/delete/", schedules.delete, name="setup-schedule-delete"),
    path("setup/users/", users.all_users, name="setup-users"),
    path("setup/users/delays/", users.end_delay, name="setup-users-delays"),
    path("setup/users/<int:pk>/", users.one, name="setup-users-one"),
    path("setup/users/<int:pk>/password/", users.new_password, name="setup-users-password"),
    path("setup/users/<int:pk>/second-factor/", users.reset_second_factor, name="setup-users-second-factor"),
    path("setup/users/<int:pk>/sign-out/", sessions.sign_out_user, name="setup-users-sign-out"),
    path("preferences/sessions/", sessions.own, name="preferences-sessions"),
    path("preferences/sessions/end/", sessions.end, name="preferences-sessions-end"),
    path("preferences/password/", login.OwnPassword.as_view(), name="preferences-password"),
    path("preferences/security/", second_factor.overview, name="preferences-security"),
    path("preferences/security/set-up/", second_factor.set_up, name="preferences-security-set-up"),
    path("preferences/security/codes/", second_factor.new_codes, name="preferences-security-codes"),
    path("preferences/security/off/", second_factor.switch_off, name="preferences-security-off"),
]
