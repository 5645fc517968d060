"""Believable mail of a service company that does not exist.

`first_run` fills a new installation: some forty messages wait in the queue, and a few of the days before show how
messages end. `add_messages` makes any number more, waiting or as history. Everything passes the gate.
"""

from .company import NAME, OFFICE
from .first_run import first_run
from .many import add_messages

COMPANY_NAME, OFFICE_ADDRESS = NAME, OFFICE.address

__all__ = ["COMPANY_NAME", "OFFICE_ADDRESS", "add_messages", "first_run"]
