"""Whether there is more by now than a person was shown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """How many rows there were, and the key of the last of them."""

    number: int = 0
    last: int = 0

    def is_newer(self, seen: "Rows") -> bool:
        """Whether there are rows that were not seen then; both, as a smaller key may be committed later."""
        return self.number > seen.number or self.last > seen.last
