"""A progress bar for whatever takes longer than two seconds, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from time import monotonic
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")

PATIENCE, WIDTH, PAUSE = 2.0, 30, 0.1  # seconds, characters, seconds


class Bar:
    """A line on standard error that begins once two seconds have passed, and goes at the end."""

    def __init__(self, label: str) -> None:
        self.label, self.next, self.shown = label, monotonic() + PATIENCE, False

    def show(self, fraction: float, remark: str) -> None:
        """How much is done, from 0 to 1, and in words."""
        if sys.stderr.isatty() and monotonic() > self.next:
            bar = "█" * int(WIDTH * fraction)
            print(f"\r{self.label} {bar:·<{WIDTH}} {remark}\033[K", end="", file=sys.stderr)
            self.next, self.shown = monotonic() + PAUSE, True

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr)


def progress(items: Sequence[Item], label: str) -> Iterator[Item]:
    """The items, one after another, with a bar."""
    with Bar(label) as bar:
        for done, item in enumerate(items):
            bar.show(done / len(items), f"{done}/{len(items)}")
            yield item
