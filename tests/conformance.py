"""What a backend must give: cases in every layout, and the reference's answer with its bound.

The tolerance is the rounding bound c·eps·Σ|U_nm| over the taps in the support, in U's precision,
times |dV| max|k′| for dxy: c counts the roundings on the way from a coordinate to a sum, and is
stated for each kernel. It needs no pytest, for a machine that has none.

A bare kernel, and a pair of them, is for maps; one alone in a tuple for signals, three for volumes.
"""

from math import prod

import numpy as np

from stn_ref import backends
from stn_ref import equations as eq
from stn_ref.equations.arguments import per_axis
from stn_ref.proofs import cases
from tests.simulator import SIMULATED

reference = backends.get("reference")

KERNELS = (
    *cases.KERNELS,
    eq.keys(-0.5),
    eq.hat(1),
    eq.hat(2.3),
    eq.lanczos(2),
    eq.normalised(eq.BILINEAR),
)

LAYOUTS = ("channels last", "planar", "reversed", "every other", "columns first", "broadcast")
C = {"integer": 2, "bilinear": 6, "hat": 8, "keys": 16, "gaussian": 16, "lanczos3": 24}
C |= {"lanczos2": 24, "bspline2": 8, "bspline3": 12}
PAIRS = [*KERNELS, (eq.keys(), eq.BILINEAR), (eq.hat(1.5), eq.INTEGER)]
SINGLES = [(eq.BILINEAR,), (eq.hat(1.5),)]
TRIPLES = [(eq.BILINEAR,) * 3, (eq.hat(1.5), eq.BILINEAR, eq.keys())]
SIDES = {1: ((7,), (8,)), 2: ((6, 7), (5, 8)), 3: ((4, 5, 6), (2, 3, 4))}  # of U and of V


def few(shape, least=2):
    """The shape, but in the simulator no more than a few pixels."""
    return tuple(min(side, least + k) for k, side in enumerate(shape)) if SIMULATED else shape


def laid_out(array, layout):
    """The same values, lying in memory in another way."""
    if layout == "planar":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, -1, 1)), 1, -1)
    if layout == "columns first":
        return np.asfortranarray(array)
    if layout == "reversed":
        back = (slice(None), *[slice(None, None, -1)] * (array.ndim - 1))
        return np.ascontiguousarray(array[back])[back]
    if layout == "every other":
        wide = np.zeros((*array.shape[:-2], 2 * array.shape[-2], array.shape[-1] + 1), array.dtype)
        wide[..., ::2, 1:] = array
        return wide[..., ::2, 1:]
    return array


def points(rng, shape, size):
    """Points up to three pixels outside; half of the coordinates on a knot, a few beside one."""
    xy = np.stack([rng.uniform(-3, s + 2, shape) for s in size[::-1]], axis=-1)
    knots = np.round(2 * xy) / 2
    xy = np.where(rng.random(xy.shape) < 0.5, knots, xy)
    beside = np.nextafter(xy, rng.choice([-9.0, 99.0], xy.shape))
    return np.where(rng.random(xy.shape) < 0.1, beside, xy)


def axes_of(kernel):
    """How many axes a kernel, or a tuple of them, is meant for here."""
    return len(kernel) if isinstance(kernel, tuple) else 2


def case(dtype, layout="channels last", size=None, channels=2, out=None, axes=2):
    """dV, U, and xy in double precision."""
    size, out = size or SIDES[axes][0], few(out or SIDES[axes][1])
    rng = np.random.default_rng([len(layout), *size, channels])
    U = laid_out(rng.standard_normal((2, *size, channels)).astype(dtype), layout)
    if layout == "broadcast":
        U = np.broadcast_to(U[:1, ..., :1], U.shape)
    dV = laid_out(rng.standard_normal((2, *out, channels)).astype(dtype), layout)
    return dV, U, points(rng, (2, *out), size)


def box(kernel):
    """1 where the kernel is not 0 and a little beyond: Σ|U_nm| over the taps in the support."""
    s = kernel.support + 0.01
    return eq.Kernel(
        "box", (), lambda t, _: 1.0 * (abs(t) < s), lambda t, _: 0 * t, lambda t, _: (), s
    )


def steepest(kernel):
    """max|k′| and max|∂k/∂Φ|, at least 1."""
    t = np.linspace(-kernel.support, kernel.support, 2003)[1:-1]
    slopes = [kernel.dk(t, kernel.Phi), *kernel.dk_dphi(t, kernel.Phi)]
    return max(1.0, *(np.abs(slope).max() for slope in slopes))


def constant(kernel):
    """c; the division by a kernel's sum costs as much again."""
    k = kernel.normalises or kernel
    return C[k.name] * (1 if k is kernel else 3)


def assert_conforms(backend, dV, U, xy, kernel, padding, tie, fill=0.0):
    """V, dU, dxy and dΦ of the backend against the reference, element by element."""
    module, axes = backends.get(backend), U.ndim - 2
    kernels = per_axis(kernel, axes)
    options = {"kernel": kernel, "padding": padding, "fill": fill}
    boxes = {"kernel": tuple(box(k) for k in kernels), "padding": padding, "fill": abs(fill)}
    eps = max(axes, 2) * max(constant(k) for k in kernels) * np.finfo(U.dtype).eps
    steep = prod(steepest(k) for k in kernels)
    found = [
        module.sample(U, xy, **options),
        *module.sample_backward(dV, U, xy, tie=tie, **options),
    ]
    truth = [
        reference.sample(U, xy, **options),
        *reference.sample_backward(dV, U, xy, tie=tie, **options),
    ]
    wide, still = np.abs(U).astype(float), np.float64(xy)
    reach = reference.sample(wide, still, **boxes)
    pull = np.sum(np.abs(dV) * reach, axis=-1, keepdims=True) * steep
    share, _, _ = reference.sample_backward(np.abs(dV).astype(float), wide, still, **boxes)
    for name, ours, theirs, bound in zip(
        ("V", "dU", "dxy", "dPhi"),
        (*found[:3], np.concatenate(found[3])),
        (*truth[:3], np.concatenate(truth[3])),
        (reach, share, pull, np.sum(pull)),
        strict=True,
    ):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, name
        rounding = np.finfo(ours.dtype).eps * np.abs(theirs)
        off = np.abs(ours.astype(float) - theirs) - (eps * bound + rounding)
        assert np.all(off <= 0), f"{name} is off by {off.max():.3g} more than the bound"


SPECIAL = (np.nan, np.inf, -np.inf, 3e38, -3e38, 2.0**31, -(2.0**31), 2.0**53 + 2, 1e19, -1e300)


def mingled(rng, xy):
    """A few coordinates that are not finite or huge."""
    where = rng.random(xy.shape) < (0.5 if SIMULATED else 0.1)
    return np.where(where, np.resize(rng.permutation(SPECIAL), xy.shape), xy)  # each of them
