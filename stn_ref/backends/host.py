"""What the compiled backends share on the host: θ's part of the centred formula.

`reference` shares none of it, so that either can be held against the other.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from stn_ref.backends.call import Call
from stn_ref.backends.pixels import matrices
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.lattice import half_extent


def coefficients(call: Call) -> Array:
    """What multiplies j − c′_x and i − c′_y in the centred formula, and what is added.

    Returns (B, n + 1, n + 1), float64: h₁₁ r_xx, h₁₂ r_xy and c̃_x h₁₃, then y's, then den's.
    """
    assert call.theta is not None
    with np.errstate(all="ignore"):
        H = matrices(call.theta, call.transformation, call.axes)
        return np.ascontiguousarray(H * _ratios(call.size, call.source, call.align_corners))


@lru_cache(maxsize=256)
def _ratios(size: Size, source: Size, align_corners: bool) -> Array:
    """r_xx, r_xy and c̃_x, then y's, then those of den; a ratio over 0 is 0."""
    ins, outs = _extents(size, source, align_corners)
    return np.array([[e / out if out else 0.0 for out in outs] + [e] for e in ins])


def theta_gradient(dA: Array, call: Call) -> Array:
    """dtheta, in θ's dtype, from ∂L/∂ the centred formula's coefficients, dA (B, n + 1, n + 1)."""
    theta, T = call.theta, call.transformation
    assert theta is not None and T.matrix_backward is not None
    ins, outs = _extents(call.size, call.source, call.align_corners)
    with np.errstate(all="ignore"):
        dmatrix = dA * np.outer(ins, [*(1 / out if out else 0.0 for out in outs), 1.0])
        dtheta = T.matrix_backward(dmatrix, theta)
        return np.asarray(dtheta).astype(call.theta_dtype, copy=False)


def _extents(size: Size, source: Size, align_corners: bool) -> tuple[list[float], list[float]]:
    """c̃_x, c̃_y of the input, and 1 for den; c̃′_x, c̃′_y of the output."""
    ins, outs = ([half_extent(S, align_corners) for S in sides[::-1]] for sides in (source, size))
    return [*ins, 1.0], outs
