"""The attachments of a form: what was picked now, and what is kept from when it was sent before."""

from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from messaging.compose.editing import Unread
from messaging.console.forms.compose import LetterForm
from messaging.console.session_end import typed_again
from messaging.content import uploads
from messaging.content.uploads import File
from messaging.intake.errors import BadAddress, TooLarge
from messaging.models import Upload

from .guard import who

FORMS_KEPT = 5  # as large as they may be: what waits for one person in forms that were not sent
TOO_MUCH_KEPT = (
    "You have too many attachments in forms that were not sent, so the files you picked last were not kept. Correct "
    "the rest, then pick them again. Files in unsent forms are kept for a day."
)


def most_octets() -> int:
    """How large all attachments may be together: encoded they grow by a third and a little."""
    return settings.MAX_MESSAGE_BYTES * 73 // 100


@dataclass
class LetterFiles:
    """`error` is what to say beside them."""

    by: User | None = None
    kept: list[Upload] = field(default_factory=list)
    picked: list[File] = field(default_factory=list)
    error: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> "LetterFiles":
        """What a form says; files that can never be sent are not read."""
        user = who(request)
        kept, gone = uploads.kept(request.POST.getlist("kept"), by=user)
        files = request.FILES.getlist("files")
        fit = [file for file in files if (file.size or 0) <= most_octets()]
        said = [
            f"“{file.name}” is too large ({filesizeformat(file.size or 0)}), and is not attached."
            for file in files
            if file not in fit
        ]
        if gone:
            said.append("An attachment that was picked more than a day ago is no longer kept. Pick it again.")
        total = sum(file.size or 0 for file in fit) + sum(row.size for row in kept)
        if total > most_octets():
            said.append(
                f"The attachments are too large: {filesizeformat(total)} together. What you picked last is not "
                "attached."
            )
            fit = []
        if said:
            said.append(f"All attachments together may be at most {filesizeformat(most_octets())}.")
        return cls(user, kept, uploads.picked(fit), " ".join(said))

    @classmethod
    def again(cls, request: HttpRequest) -> "LetterFiles":
        """What is kept of a form that is shown again after its session had ended; nothing for a new one."""
        found, _ = uploads.kept(typed_again(request, "kept"), by=who(request))
        return cls(kept=found)

    @property
    def most(self) -> int:
        return most_octets()

    def read(self) -> list[File]:
        """All of them."""
        return [*map(uploads.read, self.kept), *self.picked]

    def keep(self) -> "LetterFiles":
        """Themselves, with what was picked kept for the next time; where that is too much, `error` says so."""
        if self.by is None or not self.picked:
            return self
        try:
            self.kept += uploads.keep(self.picked, by=self.by, most=FORMS_KEPT * most_octets())
        except uploads.TooMuch:
            self.error = f"{self.error} {TOO_MUCH_KEPT}".strip()
        self.picked = []
        return self


def place(error: Exception, form: LetterForm, files: LetterFiles) -> None:
    """What the gate says against a letter, beside the field that it is about."""
    if isinstance(error, Unread):
        form.add_error(error.field, str(error))
    elif isinstance(error, BadAddress):
        form.add_error("to", str(error))
    elif isinstance(error, TooLarge):
        files.error = str(error)
    else:
        form.add_error(None, str(error))
