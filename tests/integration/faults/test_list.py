"""Every fault of the list has a test: those marked @fault(number), here and in tests/system/chaos.

`pytest tests/integration/faults -k "24-"`, or `grep -rn "fault(24" tests`, finds them.
"""

import re
from pathlib import Path

import pytest

FAULTS = {
    # The SMTP server: test_opening.py (1 to 16), test_transaction.py (17 to 36).
    1: "refuses the connection",
    2: "accepts and says nothing",
    3: "greets 554",
    4: "greets 421",
    5: "garbage greeting",
    6: "closes after EHLO",
    7: "EHLO refused, HELO works",
    8: "STARTTLS missing though required",
    9: "STARTTLS 454",
    10: "handshake fails",
    11: "certificate expired",
    12: "certificate for another name",
    13: "certificate self-signed",
    14: "AUTH 535",
    15: "AUTH 454",
    16: "AUTH not offered",
    17: "MAIL 550",
    18: "MAIL 452",
    19: "RCPT 550 for one of three",
    20: "RCPT 451 for one of three",
    21: "all recipients refused",
    22: "452 too many recipients after n",
    23: "DATA refused",
    24: "closes in mid-data",
    25: "closes after the end of data, before the reply",
    26: "silence after the end of data",
    27: "552 too big",
    28: "451 at the end of data",
    29: "250 with an absurdly long, multi-line or non-ASCII text",
    30: "421 between messages",
    31: "closes after n messages",
    32: "limits connections",
    33: "slow drip of a byte at a time",
    34: "RST at each stage",
    35: "greylisting",
    36: "250, then 5xx at QUIT",
    # Us, by killing and restarting: tests/system/chaos.
    37: "worker killed before the transaction",
    38: "worker killed during the transaction",
    39: "worker killed after the transaction, before the commit",
    40: "worker told to stop in a batch",
    41: "database restarted",
    42: "database away for a minute",
    43: "database read-only",
    44: "broker killed",
    45: "broker flushed",
    # Us, in one process: test_workers.py (46 to 55, 62), test_machine.py (56 to 61).
    46: "two workers claim",
    47: "lease ends while a slow server still talks",
    48: "task delivered three times",
    49: "confirm posted twice",
    50: "two people, overlapping selections",
    51: "message changed, cancelled or deleted while claimed",
    52: "settings changed in mid-batch",
    53: "two beats",
    54: "clock back an hour",
    55: "clock forward a day",
    56: "disk full for media",
    57: "disk full for the database",
    58: "attachment file missing or changed",
    59: "encryption key lost",
    60: "out of file descriptors",
    61: "a huge message",
    62: "migration while workers run",
}
BY_KILLING = range(37, 46)  # not looked for here
HERE = Path(__file__).parent


@pytest.mark.parametrize("number", [number for number in FAULTS if number not in BY_KILLING], ids=FAULTS.get)
def test_fault_has_a_test(number):
    sources = (path.read_text() for path in HERE.glob("test_*.py") if path != Path(__file__))
    marked = [found for source in sources for found in re.findall(r"\bfault\(([\d, ]+)\)", source)]
    assert str(number) in {found.strip() for numbers in marked for found in numbers.split(",")}


def test_list_is_whole():
    assert list(FAULTS) == list(range(1, 63))


@pytest.mark.parametrize("path", sorted(HERE.glob("test_[!l]*.py")), ids=lambda path: path.stem)
def test_every_test_of_a_fault_checks_the_invariants(path):
    tests = re.split(r"\n(?=@|def )", path.read_text())
    unchecked = [
        test.split("(")[0]
        for test in tests
        if test.startswith("def test_") and "check_invariants(" not in test and "assert_account_waits" not in test
    ]
    assert unchecked == []
