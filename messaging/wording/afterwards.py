"""What to do about a message that is not tried again automatically, where the advice of the reply table promises a try.

The table speaks of messages that wait for their next try. Of one that has failed, was sent at once or was a test, the
same meaning asks a person to act.
"""

import json
from pathlib import Path

from messaging import migrations
from messaging.delivery.outcomes import meanings
from messaging.delivery.outcomes.meanings import Meaning

_IN_A_WHILE = "Retry it in a while."
_IN_AN_HOUR = "Retry it in an hour or so."
# By advice, where all meanings that have it are told alike; then by the key of the meaning.
_BY_ADVICE = {meanings.GO_ON: _IN_A_WHILE, meanings.WAIT: _IN_A_WHILE}
_BY_KEY = {
    "no-setup": "An administrator has to correct Email Setup; then retry it.",
    "store-away": "Ask an administrator to check that MEDIA_ROOT is there, then retry it.",
    "not-prepared": "An administrator has to check the log and the disk; then retry it.",
    "unexpected": "An administrator has to check the log; then retry it.",
    "out-of-files": "An administrator has to raise its limit on open files or free some memory; then retry it.",
    "not-smtp": "Check server and port in Email Setup, then retry it.",
    "lost-thread": "Retry it. If this continues, ask the mail server’s administrator.",
    "quota": "Retry it once the server takes mail again, in an hour or the next day. If this happens often, an "
    "administrator can ask for a higher limit, or spread the batches over more days.",
    "held-back": "Retry it in a few hours. If this continues for a day, ask the mail server’s administrator.",
    "account-locked": "Ask the administrator of the mail account to unlock it; a lock after wrong passwords often "
    "ends after a few hours. Make sure that the password in Email Setup is right, then retry it.",
    "from-not-allowed": "Check “From address” in Email Setup: it must be one that the account may use, often the user "
    "name itself. Or have it allowed at the mail provider (“Send as”, or a verified sender). Then retry it.",
    "mailbox-closed": "A Microsoft 365 administrator has to give it full access to the mailbox "
    "(Add-MailboxPermission), which can take an hour to take effect. Then retry it.",
    "sign-in-unreachable": "Retry it in a while. If this continues, check the network and firewall of this machine, "
    "and the sign-in server in Email Setup.",
    "greylisted": "Retry it in a quarter of an hour.",
    "mailbox-rate": _IN_AN_HOUR,
    "mailbox-busy": _IN_AN_HOUR,
    "rest-later": "Retry it: it goes only to the others.",
    "doubtful-mailbox": "Check the address. If it is wrong, correct it and send again; otherwise retry it later.",
    "doubtful-domain": "Check the part after the @. If it is wrong, correct it and send again; otherwise retry it "
    "later.",
}


def afterwards(meaning: Meaning) -> str:
    """The advice for a message that is not tried again automatically."""
    return _BY_KEY.get(meaning.key) or _BY_ADVICE.get(meaning.advice, meaning.advice)


# Version 0.1.0 kept advice as a sentence: its words, by the key that the meaning has now.
_OF_V0_1_0 = Path(migrations.__path__[0], "_v0_1_0_meanings.json")
_TOLD = {
    advice: afterwards(meanings.MEANINGS[key])
    for key, (_, _, advice) in json.loads(_OF_V0_1_0.read_text("utf-8")).items()
    if key in meanings.MEANINGS
}


def advice_afterwards(advice: str) -> str:
    """The same for advice that a row keeps in words."""
    return _TOLD.get(advice, advice)
