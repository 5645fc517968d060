"""Templates are indented for people, and pages are sent without that: it would be a quarter of a list of messages."""

import re

from django.template import Origin
from django.template.loaders import filesystem

INDENTATION = re.compile(r"(?<=\n)[ \t]+")


class Loader(filesystem.Loader):
    """Reads a template without the white space its lines begin with. The lines stay, for the messages of errors."""

    def get_contents(self, origin: Origin) -> str:
        return INDENTATION.sub("", super().get_contents(origin))
