"""The rows of the queue. Models know no other part of Outtray."""

from .attempt import AttemptOutcome, Category, SendAttempt
from .batch import Batch, BatchItem
from .draft import MessageVersion, Submitted, Upload
from .message import Attachment, Message, MessageContent, MessageEvent, Recipient
from .options import CompanyOptions, Notice, NoticeItem, NoticeKind, NoticeRule, NoticesSeen
from .pause import AccountPause, ActiveLane
from .schedule import Schedule, ScheduleRun
from .setup import AccessToken, EmailSettings, Heartbeat, SettingChange

__all__ = [
    "AccessToken",
    "AccountPause",
    "ActiveLane",
    "Attachment",
    "AttemptOutcome",
    "Batch",
    "BatchItem",
    "Category",
    "CompanyOptions",
    "EmailSettings",
    "Heartbeat",
    "Message",
    "MessageContent",
    "MessageEvent",
    "MessageVersion",
    "Notice",
    "NoticeItem",
    "NoticeKind",
    "NoticeRule",
    "NoticesSeen",
    "Recipient",
    "Schedule",
    "ScheduleRun",
    "SendAttempt",
    "SettingChange",
    "Submitted",
    "Upload",
]
