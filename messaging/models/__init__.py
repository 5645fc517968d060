"""The rows of the queue. Models know no other part of Outtray."""

from .attempt import AttemptOutcome, Category, SendAttempt
from .batch import Batch, BatchItem
from .message import Attachment, Message, MessageContent, MessageEvent, Recipient
from .pause import AccountPause, ActiveLane
from .setup import AccessToken, CompanyOptions, EmailSettings, Heartbeat, SettingChange

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
    "Recipient",
    "SendAttempt",
    "SettingChange",
]
