"""One output pixel of a failed case, as text: the paper run by hand where the sampler is wrong."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from stn_ref.equations import TRANSLATION
from stn_ref.equations.lattice import centre, half_extent
from stn_ref.equations.taps import slopes, taps
from stn_ref.oracle.sampling import Sampling
from stn_ref.tracing import trace


def one_pixel(s: Sampling) -> list[str]:
    """The pixel of a call with one point, from where the padding has moved that to."""
    return _traced(s) if s.axes == 2 else _listed(s)


def _traced(s: Sampling) -> list[str]:
    """Through the equations."""
    half = np.array([half_extent(S, False) for S in s.sizes])
    theta = (s.moved(s.p)[0][0, 0, 0] - [centre(S) for S in s.sizes]) / half
    found = trace(
        s.U,
        theta[None],
        at=(0, 0, 0),
        size=(1, 1),
        transformation=TRANSLATION,
        kernel=s.kernel,
        padding=s.padding,
        fill=s.fill,
        align_corners=False,
    )
    return str(found).splitlines()


def _listed(s: Sampling) -> list[str]:
    """Its taps and what each gives, where `trace` has too few axes: pixel, weights, U k k k."""
    x = s.moved(s.p)[0].reshape(s.axes)
    along = [taps(x[a : a + 1], S, s.kernel, s.padding, slopes) for a, S in enumerate(s.sizes)]
    letters, pixels = "xyz"[: s.axes], "mnl"[: s.axes]
    head = [*pixels[::-1], "U", *(f"k({a}−{m})" for a, m in zip(letters, pixels, strict=True))]
    rows = [[*head, " ".join("U" + "k" * s.axes)]]
    total = 0.0
    for each in product(*reversed(along)):
        if not all(tap.k or tap.dk for tap in each):
            continue
        at = [int(tap.pixel.item()) for tap in each]
        u = s.U[(0, *at, 0)] if min(at) >= 0 else s.fill
        k = [tap.k.item() for tap in reversed(each)]
        total += u * prod(k)
        places = ["·" if m < 0 else str(m) for m in at]
        rows.append([*places, *(f"{number:.6g}" for number in (u, *k, u * prod(k)))])
    rows.append(["sum", *[""] * (2 * s.axes), f"{total:.6g}"])
    widths = [*[4] * s.axes, *[13] * (s.axes + 2)]
    place = ", ".join(f"{coordinate:.9g}" for coordinate in x)
    lines = ["".join(map(str.rjust, row, widths)).rstrip() for row in rows]
    return [f"({', '.join(letters)}) = ({place}) in pixels · {s.kernel.name} · {s.padding}", *lines]
