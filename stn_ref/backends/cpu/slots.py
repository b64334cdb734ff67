"""From a coordinate to the window of neighbouring pixels that it weighs, along one axis.

The taps of Eq. 3 are sent to pixels by the padding, and wherever a tap goes, it goes into one
window: as many neighbouring pixels as there are taps, all of them on the plane. Each pixel of the
window is a slot; its weight is the sum of the weights of the taps that land on it. A tap outside
lands on no slot, so zero padding needs no test in the loops that follow.

The weights of a chunk lie in one flat array: k of each slot, then its slope, then each ∂k/∂Φ.
"""

from __future__ import annotations

import numpy as np

from stn_ref.backends.cpu.flat import inner
from stn_ref.backends.cpu.rows import CHUNK, VALUES, call_row
from stn_ref.backends.scalars import BELOW_ONE, NOTHING, OUTSIDE, REPEAT, pixel


@inner
def has_window(size, taps, rule):
    """Whether all taps of any point land on `taps` neighbouring pixels of the plane."""
    return size >= taps and rule != REPEAT


@inner
def row_slots(x, n, size, rule, row, tie, base, w, found):
    """Each point's window along one axis, and the weight of every slot, with slopes if tie ≥ 0.

    x (n) pixels, |x| < 2³⁰; base (n); w ((2 + len(Φ)) · taps · CHUNK)
    """
    f, k = found
    address, phi, first, taps, support = row
    for q in range(n):
        below = np.floor(x[q])
        base[q] = np.int32(below) + np.int32(first)
        f[q] = min(x[q] - below, BELOW_ONE)
    call_row(address, n, f, first, taps, support, tie, phi, k)
    sections = 1 if tie == VALUES else 2 + len(phi)
    for section in range(sections * taps):
        for q in range(n):
            w[section * CHUNK + q] = k[section * CHUNK + q]
    for q in range(n):
        if not 0 <= base[q] <= size - taps:
            base[q] = fold(base[q], q, size, rule, taps, sections, k, w)


@inner
def fold(m, q, size, rule, taps, sections, k, w):
    """Point q, some of whose taps m … are no pixels: each slot's share, where the padding puts it.

    Returns the first pixel of its window.
    """
    low = size
    for o in range(taps):
        place = pixel(m + o, size, rule)
        low = min(low, place if place != OUTSIDE else size)
    low = min(low, size - taps)
    for section in range(sections):
        start = section * taps * CHUNK + q
        for o in range(taps):
            w[start + o * CHUNK] = 0
        for o in range(taps):
            place = pixel(m + o, size, rule)
            if place != OUTSIDE:
                w[start + (place - low) * CHUNK] += k[start + o * CHUNK]
    return low


@inner
def hat_slots(x, n, size, rule, tie, base, w):
    """Eq. 5, and the right derivative of Eq. 7, on a window of two pixels, base and base + 1.

    For padding by nothing or by the edge. With the cell m = ⌊x⌋ and d = m − base, the hats stand
    at t = x − base = f + d and at t − 1. Three loops: what is in float64, slopes, weights.
    """
    one, zero = w.dtype.type(1), w.dtype.type(0)
    last, none = np.int32(size - 2), np.int32(0)
    for q in range(n):
        below = np.floor(x[q])
        base[q] = np.int32(below)
        w[q] = w.dtype.type(x[q] - below)
    if tie != VALUES:
        turn = one if rule == NOTHING else zero  # beyond the edge nothing falls off but to nothing
        for q in range(n):
            d = base[q] - min(max(base[q], none), last)
            w[2 * CHUNK + q] = turn if d == -1 else -one if d == 0 else zero
            w[3 * CHUNK + q] = one if d == 0 else -turn if d == 1 else zero
    if rule == NOTHING:
        for q in range(n):
            m0 = min(max(base[q], none), last)
            t = w[q] + w.dtype.type(np.int32(base[q] - m0))
            base[q] = m0
            w[q] = max(zero, one - abs(t))
            w[CHUNK + q] = max(zero, one - abs(t - one))
    else:
        for q in range(n):
            m0 = min(max(base[q], none), last)
            t = min(max(w[q] + w.dtype.type(np.int32(base[q] - m0)), zero), one)
            base[q] = m0
            w[q] = one - t
            w[CHUNK + q] = t
