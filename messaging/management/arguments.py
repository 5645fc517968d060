"""What the arguments of several commands have to be."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def text(argument: str) -> str:
    """An argument that a row may be looked up by or keep. Raises ArgumentTypeError: its octets are no UTF-8."""
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise ArgumentTypeError("It is not UTF-8. Write it in UTF-8.") from error
    return argument


def number(kind: type[Number], least: Number, most: Number) -> Callable[[str], Number]:
    """What reads an argument that is a number from `least` to `most`. It raises ArgumentTypeError."""

    def read(argument: str) -> Number:
        try:
            found = kind(argument)
        except ValueError:
            found = None
        if found is None or not least <= found <= most:  # "nan" is neither less nor more
            raise ArgumentTypeError(f"Write a number from {least:,} to {most:,}.")
        return found

    return read
