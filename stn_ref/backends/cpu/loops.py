"""The compiled loops: made for a dtype when first needed, run here or on several threads."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types

from stn_ref.backends.cpu.backward import backward, backward_on_threads
from stn_ref.backends.cpu.compiling import compiled
from stn_ref.backends.cpu.forward import forward, forward_on_threads
from stn_ref.backends.cpu.threads import Turn, workers

LOOPS = {loop.__name__: loop for loop in (forward, forward_on_threads)}
LOOPS |= {loop.__name__: loop for loop in (backward, backward_on_threads)}


def run(
    name: str, dtype: np.dtype[Any], units: int, work: float, first: Any, arguments: Any
) -> None:
    """Do all units, here or on several threads."""
    threads = min(workers(work), units)
    if threads > 1:
        with Turn() as granted:
            if granted:
                loop(f"{name}_on_threads", dtype)(threads, units, *first, *arguments)
                return
    if units:
        loop(name, dtype)(0, units, *first, *arguments)


@cache
def loop(name: str, dtype: np.dtype[Any]) -> Any:
    """One of LOOPS, compiled for feature maps of this dtype."""
    i, d = types.int64, types.float64
    value = types.float32 if dtype == np.float32 else types.float64
    read, write = types.Array(value, 5, "A", readonly=True), types.Array(value, 5, "A")
    xy = [types.Array(t, 5, "A", readonly=True) for t in (types.float32, d)]
    row_type = types.Tuple((i, types.Array(d, 1, "C"), i, i, d))
    where = types.Tuple((i, types.Array(d, 3, "C", readonly=True), *xy))
    rows = [row_type, row_type, row_type, types.boolean]
    if name.startswith("forward"):
        signature = [i, i, read, i, where, i, *rows, d, write]
    else:
        dxy = [types.Array(t, 5, "C") for t in (types.float32, d)]
        sums = [types.Array(d, 4, "C"), types.Array(d, 3, "C")]
        signature = [i, i, i, read, read, i, where, i, *rows, i, d, write, *dxy, *sums]
    return compiled(LOOPS[name].py_func, tuple(signature), parallel=name.endswith("threads"))
