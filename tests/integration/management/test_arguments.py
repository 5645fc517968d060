"""Octets of an argument that are no UTF-8, as a shell of another locale hands them over."""

import pytest
from django.core.management import CommandError, call_command

OCTETS = "b\udcf6ro"


@pytest.mark.parametrize("command", [
    ["createoperator", OCTETS],
    ["createoperator", "ann", f"--email={OCTETS}@example.com"],
    ["createoperator", "ann", f"--full-name={OCTETS}"],
    ["process_queue", f"--account={OCTETS}"],
    ["export_messages", f"--q={OCTETS}"],
    ["export_messages", f"--sender={OCTETS}"],
    ["set_option", "company_name", OCTETS],
    ["sendmail", "-t", f"--author={OCTETS}"],
])  # fmt: skip
@pytest.mark.django_db
def test_what_is_no_utf8_is_refused(command):
    with pytest.raises(CommandError, match="not UTF-8"):
        call_command(*command)
