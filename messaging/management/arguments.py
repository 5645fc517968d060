"""What the arguments of several commands have to be."""

from argparse import ArgumentTypeError


def text(argument: str) -> str:
    """An argument that a row may be looked up by or keep. Raises ArgumentTypeError: its octets are no UTF-8."""
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise ArgumentTypeError("It is not UTF-8. Write it in UTF-8.") from error
    return argument
