"""One call of the sampler, its arguments checked: what a backend is asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from stn_ref.backends.pixels import in_double, source_pixels, source_pixels_backward
from stn_ref.equations import AFFINE, Kernel, Transformation
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.quiet import quiet
from stn_ref.equations.transformation import has_matrix, require_its_axes


class Given(NamedTuple):
    """The caller's own arrays, wherever they lie."""

    U: Any
    xy: Any = None
    theta: Any = None
    dV: Any = None


class Call(NamedTuple):
    """Eq. 3 at points that are given, or at T_θ(G); with dV, Eqs. 6 and 7.

    On the host arrays are the caller's; of arrays on a GPU U, xy and dV have shape and dtype only,
    and `given` has the arrays.
    """

    given: Given
    U: Array  # (B, H, W, C), or a signal or a volume
    size: Size  # (H', W') of the output
    kernels: tuple[Kernel, ...]  # (x, y), one an axis
    padding: str
    fill: float
    tie: str
    deterministic: bool
    xy: Array | None = None  # (B, H', W', 2), pixels; None where θ says
    theta: Array | None = None  # in float64, or longdouble
    transformation: Transformation = AFFINE
    align_corners: bool = True
    theta_dtype: Any = None  # the caller's, and that of dθ
    dV: Array | None = None  # (B, H', W', C)

    @property
    def axes(self) -> int:
        return len(self.kernels)

    @property
    def source(self) -> Size:
        """(H, W) of the input."""
        return self.U.shape[1:-1]

    @property
    def by_matrix(self) -> bool:
        """Whether the points come from a matrix by the centred formula, so that none are needed."""
        return self.xy is None and has_matrix(self.transformation)

    def points(self) -> Array:
        """The source points in pixels, those given or T_θ(G)."""
        if self.xy is not None:
            return self.xy
        assert self.theta is not None
        ends = self.size, self.source, self.align_corners
        return source_pixels(self.theta, self.transformation, *ends)

    @quiet
    def theta_gradient(self, dxy: Array) -> Array:
        """dθ from the gradient at the source points, in θ's dtype."""
        assert self.theta is not None
        ends = self.source, self.align_corners
        dtheta = source_pixels_backward(dxy, self.theta, self.transformation, *ends)
        return dtheta.astype(self.theta_dtype, copy=False)


def fitting_theta(theta: Array, U: Array, transformation: Transformation) -> Array:
    """θ in double; a ValueError unless it is of U's batch, its transformation of U's axes."""
    require_its_axes(U, theta, transformation)
    double = in_double(theta, transformation)
    if len(theta) != len(U):
        raise ValueError(f"theta has batch {len(theta)} and U has {len(U)}; they must be equal")
    return double
