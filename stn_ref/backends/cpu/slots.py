"""From a coordinate to the window of neighbouring pixels that it weighs, along one axis.

The taps of Eq. 3 are sent to pixels by the padding, and wherever a tap goes, it goes into one
window: as many neighbouring pixels as there are taps, all of them on the plane. Each pixel of the
window is a slot; its weight is the sum of the weights of the taps that land on it. A tap outside
lands on no slot, so zero padding needs no test in the loops that follow.

The weights of a chunk lie in one flat array: k of each slot, then its slope, then each ∂k/∂Φ.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stn_ref.backends.cpu.rows import CHUNK, VALUES, call_row
from stn_ref.backends.scalars import CLIP, NOTHING, REPEAT, cell, mirrored, period


@njit
def has_window(size, taps, rule):
    """Whether all taps of any point land on `taps` neighbouring pixels of the plane."""
    return size >= taps and rule != REPEAT


@njit
def row_slots(x, n, size, rule, row, tie, base, w, found):
    """Each point's window along one axis, and the weight of every slot, with slopes if tie ≥ 0.

    x (n) pixels, |x| < 2³⁰; base (n); w ((2 + len(Φ)) · taps · CHUNK)
    """
    f, slot, k = found
    address, phi, first, taps, support = row
    slots(x, n, size, rule, first, taps, base, f, slot)
    call_row(address, n, f, first, taps, support, tie, phi, k)
    for section in range(1 if tie == VALUES else 2 + len(phi)):
        fold(k, slot, n, taps, section * taps * CHUNK, w)


@njit
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


@njit
def slots(x, n, size, rule, first, taps, base, f, slot):
    """The window of each point, the fraction f, and the slot of each tap, −1 for a tap outside."""
    last = size - taps
    if rule <= CLIP:
        for q in range(n):
            below, f[q] = cell(x[q])
            base[q] = min(max(int(below) + first, 0), last)
        for o in range(taps):
            for q in range(n):
                m = int(np.floor(x[q])) + first + o
                pixel = min(max(m, 0), size - 1)
                slot[o * CHUNK + q] = pixel - base[q] if rule == CLIP or pixel == m else -1
        return
    repeats = float(period(size, rule))
    for q in range(n):
        _, f[q] = cell(x[q])
        base[q] = last
    for o in range(taps):
        for q in range(n):
            m = np.floor(x[q]) + float(first + o)
            r = m - repeats * np.floor((m + 0.5) / repeats)
            slot[o * CHUNK + q] = np.int32(mirrored(r, float(size), repeats, rule))
            base[q] = min(base[q], slot[o * CHUNK + q])
    for o in range(taps):
        for q in range(n):
            slot[o * CHUNK + q] -= base[q]


@njit
def fold(k, slot, n, taps, start, w):
    """Each slot's share: w_s = Σ_o k_o over the taps o that land on slot s."""
    for s in range(taps):
        to = start + s * CHUNK
        for q in range(n):
            w[to + q] = k[start + q] if slot[q] == s else 0.0
        for o in range(1, taps):
            of = o * CHUNK
            for q in range(n):
                w[to + q] += k[start + of + q] if slot[of + q] == s else 0.0
