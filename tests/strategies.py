"""Feature maps and source points for property tests: half of the points lie on knots."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stn_ref import checks
from stn_ref import equations as eq

KERNELS = (
    *checks.KERNELS,
    eq.keys(-0.5),
    eq.hat(1),
    eq.hat(2.3),
    eq.lanczos(2),
    eq.normalised(eq.BILINEAR),
)

PARTITIONS_OF_UNITY = (
    eq.INTEGER,
    eq.BILINEAR,
    eq.keys(),
    eq.keys(-0.5),
    eq.hat(1),
    eq.bspline(2),
    eq.bspline(3),
    eq.normalised(eq.lanczos()),
    eq.normalised(eq.hat(1.5)),
    eq.normalised(eq.hat(2.3)),
    eq.normalised(eq.gaussian(0.4)),
)

VERTICES, TRIANGLES = checks.MESH
TRANSFORMATIONS = checks.TRANSFORMATIONS
WITH_MATRIX = tuple(t for t in TRANSFORMATIONS if t.matrix is not None)
AFFINE_FAMILY = TRANSFORMATIONS[:5]

kernels = st.sampled_from(KERNELS)
paddings = st.sampled_from(tuple(eq.PADDINGS))
ties = st.sampled_from(("right", "left", "central"))
values = st.floats(-8, 8, width=32)

# a knot, a knot's neighbour, or anywhere, up to three pixels outside a plane of six
knots = st.integers(-6, 18).map(lambda halves: halves / 2)
neighbours = st.tuples(knots, st.sampled_from((-99.0, 99.0))).map(lambda p: float(np.nextafter(*p)))
coordinates = st.one_of(knots, neighbours, st.floats(-3, 9), st.floats(-3, 9))


@st.composite
def maps_and_points(draw, dtype=np.float64):
    """U (B, H, W, C) and xy (B, H', W', 2)."""
    B, C = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    H, W = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    size = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    U = draw(hnp.arrays(dtype, (B, H, W, C), elements=values))
    xy = draw(hnp.arrays(np.float64, (B, *size, 2), elements=coordinates))
    return U, xy


def affine_thetas(batch=2):
    return hnp.arrays(np.float64, (batch, 2, 3), elements=st.floats(-2, 2))
