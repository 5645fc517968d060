"""What the gate answers when it does not take a message; the text is shown to people as it is."""


class Refused(ValueError):
    """The message cannot be queued as it is. The text says why and what to change, in plain words."""


class BadAddress(Refused):
    """Refused because an envelope address is not one."""


class TooLarge(Refused):
    """Refused because of its size."""
