"""What `/health/` says, for people and health checks on the machine itself."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messaging import health


class Command(BaseCommand):
    help = (
        "Say what works and what does not: everything, or only the parts that are named. Exit code 1: not everything "
        "works."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(health.CHECKS)}")

    def handle(self, *args: Any, **options: Any) -> None:
        parts = options["parts"] or list(health.CHECKS)
        unknown = [part for part in parts if part not in health.CHECKS]
        if unknown:
            raise CommandError(f"There is no “{unknown[0]}”. Choose from {', '.join(health.CHECKS)}.")
        found = health.find(parts)
        for name, finding in found.items():
            words = "works" if finding.is_well else " ".join([finding.words, *finding.files])
            self.stdout.write(f"{name}: {words}")
        at_fault = [name for name, finding in found.items() if not finding.is_well]
        if at_fault:
            raise CommandError(f"Not everything works: {', '.join(at_fault)}.")
