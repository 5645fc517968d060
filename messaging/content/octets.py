"""Octets that need not be in memory: looked at like `bytes`, read in pieces.

An Octets is made of parts in memory and parts in files, one after the other; mime.py finds its way in it as in `bytes`.
Pieces are what is only read from beginning to end, and has a length that is known before.
"""

import os
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple, Protocol

CHUNK = 65536
MOST_HELD = 2**20  # octets of a message that are kept in memory for speed


class Pieces(Protocol):
    """Octets from beginning to end, as often as they are asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


class Source(Protocol):
    """Where octets are: `pieces` yields those from `start` to `stop`, at most CHUNK at a time."""

    def pieces(self, start: int, stop: int) -> Iterator[bytes]: ...


class Span(NamedTuple):
    """Octets `start` to `stop` of a source."""

    source: Source
    start: int
    stop: int


class Held:
    """A source in memory."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        for position in range(start, stop, CHUNK):
            yield self._octets[position : min(position + CHUNK, stop)]


class Spool:
    """A source in a file without a name, so that nothing is left of it; gone with the last that refers to it."""

    def __init__(self, pieces: Iterable[bytes], folder: Path) -> None:
        """Raises OSError (disk full)."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self.size = sum(map(self._file.write, pieces))
        self._file.flush()

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        for position in range(start, stop, CHUNK):
            yield os.pread(self._file.fileno(), min(CHUNK, stop - position), position)


class Octets:
    """Spans one after the other."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = [span for span in spans if span.stop > span.start]
        self._ends = list(accumulate(span.stop - span.start for span in self._spans))
        self._block: tuple[int, bytes] = (0, b"")

    @classmethod
    def of(cls, octets: bytes) -> "Octets":
        return cls([Span(Held(octets), 0, len(octets))])

    @property
    def is_held(self) -> bool:
        """Whether all of it is in memory."""
        return all(isinstance(span.source, Held) for span in self._spans)

    def at_hand(self) -> "Octets":
        """The same, in memory where it is small."""
        return Octets.of(b"".join(self)) if len(self) <= MOST_HELD else self

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces()

    def __getitem__(self, where: slice) -> bytes:
        start, stop, _ = where.indices(len(self))
        base, block = self._block
        if base <= start and stop <= base + len(block):
            return block[start - base : stop - base]
        return b"".join(self.pieces(start, stop))

    def spans(self, start: int, stop: int) -> Iterator[Span]:
        """What it is made of from `start` to `stop`, which are not beyond its end."""
        number = bisect_right(self._ends, start)
        while start < stop:
            span, end = self._spans[number], self._ends[number]
            last = min(stop, end)
            yield Span(span.source, span.stop - (end - start), span.stop - (end - last))
            start, number = last, number + 1

    def view(self, start: int, stop: int | None = None) -> "Octets":
        """From `start` to `stop`, which are not beyond its end."""
        return Octets(self.spans(start, len(self) if stop is None else stop))

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The same, at most CHUNK octets at a time."""
        for span in self.spans(start, len(self) if stop is None else stop):
            yield from span.source.pieces(span.start, span.stop)

    def startswith(self, beginning: bytes, start: int = 0, stop: int | None = None) -> bool:
        stop = len(self) if stop is None else stop
        return self[start : min(stop, start + len(beginning))] == beginning

    def find(self, sought: bytes, start: int = 0, stop: int | None = None) -> int:
        """As bytes.find, of at least one octet; reads each octet about once, also when it is called again and again."""
        stop = len(self) if stop is None else min(stop, len(self))
        over = len(sought) - 1
        while start + over < stop:
            base, block = self._read_block(start)
            end = min(base + len(block), stop)
            found = block.find(sought, start - base, end - base)
            if found != -1:
                return base + found
            edge = max(start, end - over)  # what begins in this block may end in the next
            found = (block[edge - base : end - base] + self[end : min(stop, end + over)]).find(sought)
            if found != -1:
                return edge + found
            start = end
        return -1

    def isascii(self, start: int = 0, stop: int | None = None) -> bool:
        return all(piece.isascii() for piece in self.pieces(start, stop))

    def _read_block(self, position: int) -> tuple[int, bytes]:
        """The octets around a position, and where they begin; kept, because the next one asked for is near."""
        base, block = self._block
        if not base <= position < base + len(block):
            base = position - position % CHUNK
            block = b"".join(self.pieces(base, min(base + CHUNK, len(self))))
            self._block = base, block
        return base, block


class Joined:
    """Pieces one after the other."""

    def __init__(self, *parts: Pieces) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._parts)


class Made:
    """What `make` yields, made anew each time it is asked for; `is_held`: made once and kept."""

    def __init__(self, make: Callable[[], Iterator[bytes]], *, is_held: bool) -> None:
        held = b"".join(make()) if is_held else None
        self._size = sum(map(len, make())) if held is None else len(held)
        self._make = make if held is None else lambda: iter((held,))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self._make()
