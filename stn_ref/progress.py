"""A progress bar for whatever takes longer than two seconds, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TypeVar

Item = TypeVar("Item")

PATIENCE, WIDTH = 2.0, 30


def progress(items: Sequence[Item], label: str) -> Iterator[Item]:
    """The items, one after another; a bar on standard error once two seconds have passed."""
    start, shown = monotonic(), False
    for done, item in enumerate(items):
        if sys.stderr.isatty() and monotonic() - start > PATIENCE:
            bar = "█" * (WIDTH * done // len(items))
            print(f"\r{label} {bar:·<{WIDTH}} {done}/{len(items)}", end="", file=sys.stderr)
            shown = True
        yield item
    if shown:
        print("\r\033[K", end="", file=sys.stderr)
