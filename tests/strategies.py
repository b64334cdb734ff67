"""Feature maps and source points for property tests: half of the points lie on knots."""

import numpy as np
from hypothesis import strategies as st

from stn_ref import equations as eq
from stn_ref.oracle import strategies
from stn_ref.proofs import cases
from tests.conformance import KERNELS

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

VERTICES, TRIANGLES = cases.MESH
TRANSFORMATIONS = cases.TRANSFORMATIONS
WITH_MATRIX = tuple(t for t in TRANSFORMATIONS if t.matrix is not None)
AFFINE_FAMILY = TRANSFORMATIONS[:5]

kernels = st.sampled_from(KERNELS)
paddings = st.sampled_from(tuple(eq.PADDINGS))
ties = st.sampled_from(("right", "left", "central"))
values = st.floats(-8, 8, width=32)


def maps_and_points(dtype=np.float64):
    """U (B, H, W, C) and xy (B, H', W', 2), not so far outside that a plane padded by 12 ends."""
    return strategies.maps_and_points(dtype, elements=values, reach=8)


def affine_thetas(batch=2):
    return strategies.thetas(eq.AFFINE, batch)
