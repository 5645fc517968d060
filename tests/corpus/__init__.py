"""Input that was once read wrongly, or for long, each in a file: a folder for each kind of parser."""

from pathlib import Path

CORPUS = Path(__file__).parent


def cases(kind):
    """The files of a kind, in the order of their names."""
    return sorted((CORPUS / kind).iterdir())
