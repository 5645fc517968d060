"""The rows of the queue. Models know no other part of Outtray."""

from . import caseless  # noqa: F401  (registers its lookups)
from .attempt import AttemptOutcome, Category, PastTry, SendAttempt
from .audit import AuditEntry
from .batch import Batch, BatchItem
from .draft import FormSubmission, MessageVersion, Upload
from .lineage import Lineage, Restore, SetAside
from .message import Attachment, Message, MessageContent, MessageEvent, Reason, Recipient
from .options import CompanyOptions, Notice, NoticeItem, NoticeKind, NoticeRule, NoticesSeen
from .pause import AccountPause, ActiveLane, RefusalStreak, UnansweredStreak
from .phrase import Phrase, PhraseError, PhraseField, Words
from .recall import Recall
from .schedule import Schedule, ScheduleRun
from .session import KeptForm, UserSession
from .setup import AccessToken, EmailSettings, Heartbeat
from .sign_in import SignedIn, SignInTries

__all__ = [
    "AccessToken",
    "AccountPause",
    "ActiveLane",
    "Attachment",
    "AttemptOutcome",
    "AuditEntry",
    "Batch",
    "BatchItem",
    "Category",
    "CompanyOptions",
    "EmailSettings",
    "FormSubmission",
    "Heartbeat",
    "KeptForm",
    "Lineage",
    "Message",
    "MessageContent",
    "MessageEvent",
    "MessageVersion",
    "Notice",
    "NoticeItem",
    "NoticeKind",
    "NoticeRule",
    "NoticesSeen",
    "PastTry",
    "Phrase",
    "PhraseError",
    "PhraseField",
    "Reason",
    "Recall",
    "Recipient",
    "RefusalStreak",
    "Restore",
    "Schedule",
    "ScheduleRun",
    "SendAttempt",
    "SetAside",
    "SignInTries",
    "SignedIn",
    "UnansweredStreak",
    "Upload",
    "UserSession",
    "Words",
]
