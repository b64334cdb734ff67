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
    """Whether all taps of any point land on `taps` neighbouring pixels of the plane.

    An axis that is not there has one pixel and one tap, and no padding.
    """
    return size >= taps and rule != REPEAT or taps == 1


@inner
def has_windows(size, taps, rule):
    """Whether they have along each axis; size as of (D, H, W), taps as of (x, y, z)."""
    return (
        has_window(size[2], taps[0], rule)
        and has_window(size[1], taps[1], rule)
        and has_window(size[0], taps[2], rule)
    )


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
def weave(w_y, w_z, n, taps, phis, sections, w):
    """What multiplies k(x − m) on each slice of the windows: one w_y for each tap of z.

    A slice is a plane whose kernel along y has more parameters: its sections are k k_z, k′ k_z and
    ∂k k_z, along y, and then, as if for Φ, k k′_z and k ∂k_z.
    """
    (_, taps_y, taps_z), own = taps, 2 + phis[1]
    for k in range(taps_z):
        for s in range(sections):
            y, z = (s, 0) if s < own else (0, s - own + 1)
            for o in range(taps_y):
                product = w[((k * sections + s) * taps_y + o) * CHUNK :]
                a, b = w_y[(y * taps_y + o) * CHUNK :], w_z[(z * taps_z + k) * CHUNK :]
                for q in range(n):
                    product[q] = a[q] * b[q]


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

    For padding by nothing or by the edge, and any x: ±∞ weighs nothing, or the edge; NaN is NaN.
    The hats stand at t = x − base and at t − 1; ⌊x⌋ − base is 0 inside the window. Two loops: what
    is in the precision of x, and the rest.
    """
    one, zero = w.dtype.type(1), w.dtype.type(0)
    first, last = x.dtype.type(0), x.dtype.type(size - 2)
    for q in range(n):
        below = np.floor(x[q])
        left = below if below > first else first
        left = left if left < last else last
        base[q] = np.int32(left)
        w[q] = w.dtype.type(x[q] - left)
        if tie != VALUES:
            w[2 * CHUNK + q] = w.dtype.type(below - left)
    if tie != VALUES:
        turn = one if rule == NOTHING else zero  # beyond the edge nothing falls off but to nothing
        for q in range(n):
            cell = w[2 * CHUNK + q]
            w[2 * CHUNK + q] = turn if cell == -one else -one if cell == zero else zero
            w[3 * CHUNK + q] = one if cell == zero else -turn if cell == one else zero
    if rule == NOTHING:
        for q in range(n):
            h, k = one - abs(w[q]), one - abs(w[q] - one)
            w[q] = zero if h < zero else h
            w[CHUNK + q] = zero if k < zero else k
    else:
        for q in range(n):
            t = zero if w[q] < zero else w[q]
            t = one if t > one else t
            w[q] = one - t
            w[CHUNK + q] = t
