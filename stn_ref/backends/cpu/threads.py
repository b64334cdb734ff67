"""Running a kernel's units on Numba's threads where that is safe and worth it, else right here.

Numba's workqueue layer aborts the process when two Python threads call in at once, and its OpenMP
layer aborts a forked child. So one caller at a time goes parallel under workqueue, and a forked
child never does: the others do all their units in the thread that they are on. The results do not
depend on it.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Any

import numba

WORTHWHILE = 1 << 15  # pixels times channels times taps: fewer take less time than waking threads

_turn = Lock()
_forked = False


def _in_a_child() -> None:
    global _forked, _turn
    _forked, _turn = True, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_child)


def workers(work: float) -> int:
    """How many threads this much work should run on."""
    return 1 if _forked or work < WORTHWHILE else int(numba.get_num_threads())


class Turn:
    """Whether this thread may go parallel now: `with Turn() as granted`."""

    def __enter__(self) -> bool:
        alone = _alone()
        self.held = alone and _turn.acquire(blocking=False)
        return self.held or not alone

    def __exit__(self, *_: Any) -> None:
        if self.held:
            _turn.release()


def _alone() -> bool:
    """Whether the layer takes one caller at a time; until it is chosen, it might."""
    try:
        return bool(numba.threading_layer() == "workqueue")
    except ValueError:
        return True
