"""What torch 2.13 makes of volumes in float16: every step of a coordinate and a weight is rounded.

From pixel 2048 on float16 has even numbers alone, and a cell's upper end, ⌊x⌋ + 1, is rounded to
one. So the weight of a pixel is 0 or 2 there, and the last one's number may be that of none.
"""

from __future__ import annotations

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.oracle.sampling import Sampling


@np.errstate(all="ignore")
def shipped(s: Sampling, grid: Array, padding_mode: str, aligned: bool) -> Sampling:
    """A call in float16 on the CPU, its gradients short of those errors; s is what it should be."""
    sizes, last = (np.subtract(s.sizes, k).astype(np.float16) for k in (0, 1))
    x = (grid + 1) / 2 * last if aligned else ((grid + 1) * sizes - 1) / 2
    if padding_mode == "reflection":
        x = _folded(x, 0.0 if aligned else -0.5, last if aligned else sizes)
    if padding_mode != "zeros":
        x = np.where(x < last, np.maximum(x, 0), last)  # NaN is the last
    p = np.where(np.isfinite(x), x, -np.inf).astype(np.float64)
    _, slope = s.padded(s.p)
    layout = s.layout._replace(points=lambda dp: (dp * slope,))
    s = s._replace(p=p, rest=0.0, move=None, placing=0.0, folds=False, layout=layout)
    if s.rounds:
        return s
    below = np.floor(x)
    weights = ((below + 1).astype(np.float16) - x) + (x - below)
    factor = np.where(np.isfinite(x), weights, 0.0).prod(axis=-1)
    planar = layout.value
    return s._replace(layout=layout._replace(value=lambda V: planar(V * factor[..., None])))


def _folded(x: Array, low: float, span: Array) -> Array:
    """Mirrored about both ends, where there is a way between them."""
    far = abs(x - np.float16(low))
    extra, flips = np.fmod(far, span), np.floor(far / span)
    folded = np.where(np.fmod(flips, 2) == 0, extra, span - extra) + np.float16(low)
    return np.where(span == 0, np.float16(0), folded)
