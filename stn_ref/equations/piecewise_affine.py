"""§3.2, piecewise affine transformations: a triangle mesh whose vertices move."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, shaped
from stn_ref.equations.lattice import homogeneous
from stn_ref.equations.linear import Linear, linear

TIE = 1e-12  # barycentric coordinates this close are one: their rounding may not choose a triangle


def piecewise_affine(vertices: ArrayLike, triangles: ArrayLike) -> Linear:
    """The map that takes each vertex v_k to θ_k and is affine on every triangle.

        T_θ(p) = Σ_k λ_k(p) θ_k                                               §3.2

    λ are p's barycentric coordinates in its triangle. Outside the mesh, the triangle whose
    smallest coordinate is largest continues; of several, the lowest-numbered.

    vertices   (K, 2)  normalised, (x, y)
    triangles  (M, 3)  integers, each row the vertices of one triangle
    θ is (B, K, 2), the source positions of the vertices.
    Raises TypeError or ValueError for vertices or triangles of a wrong shape or dtype, and for a
    triangle without area, which it names.
    """
    corners = shaped("vertices", vertices, ("K", 2)).astype(np.float64)
    if not np.isfinite(corners).all():
        raise ValueError("vertices has a coordinate that is not finite")
    mesh = _mesh(triangles, len(corners))
    to_barycentric = _to_barycentric(corners, mesh)

    def located(G: Array) -> tuple[Array, Array]:
        """Each point's triangle and its coordinates λ there, (…,) and (…, 3)."""
        coordinates = np.einsum("tkl,...l->...tk", to_barycentric, homogeneous(G))
        smallest = coordinates.min(axis=-1)
        best = smallest.max(axis=-1, keepdims=True)
        tied = smallest >= best - TIE * np.maximum(1, np.abs(best))
        triangle = np.argmax(tied, axis=-1)
        here = np.take_along_axis(coordinates, triangle[..., None, None], axis=-2)
        return triangle, here[..., 0, :]

    def placed(triangle: Array, coordinates: Array) -> Array:
        """A column for each vertex, 0 for those of other triangles: (…, K)."""
        B = np.zeros((*triangle.shape, len(corners)))
        np.put_along_axis(B, mesh[triangle], coordinates, axis=-1)
        return B

    def basis(G: Array) -> Array:
        return placed(*located(G))

    def basis_backward(dB: Array, G: Array) -> Array:
        triangle, _ = located(G)
        d = np.take_along_axis(dB, mesh[triangle], axis=-1)
        return np.einsum("...k,...kl->...l", d, to_barycentric[triangle][..., :2])

    def basis_jvp(G_dot: Array, G: Array) -> Array:
        triangle, _ = located(G)
        slopes = to_barycentric[triangle][..., :2]
        return placed(triangle, np.einsum("...kl,...l->...k", slopes, G_dot))

    T = linear(basis, basis_backward, corners, name="piecewise affine", basis_jvp=basis_jvp)
    return T.made_by(piecewise_affine, vertices=corners, triangles=mesh)


def _mesh(triangles: ArrayLike, count: int) -> Array:
    mesh = np.asarray(triangles)
    if mesh.dtype.kind not in "iu":
        raise TypeError(f"triangles has dtype {mesh.dtype}; expected integers")
    if mesh.ndim != 2 or mesh.shape[1] != 3 or len(mesh) == 0:
        raise ValueError(f"triangles has shape {mesh.shape}; expected (M, 3), M at least 1")
    if mesh.min() < 0 or mesh.max() >= count:
        raise ValueError(f"triangles names vertices {mesh.min()} to {mesh.max()} of {count}")
    return mesh.astype(np.intp)


def _to_barycentric(corners: Array, mesh: Array) -> Array:
    """(M, 3, 3): λ = inverse of [x_0 x_1 x_2; y_0 y_1 y_2; 1 1 1] times (x, y, 1)."""
    corner_matrices = np.ones((len(mesh), 3, 3))
    corner_matrices[:, :2] = corners[mesh].swapaxes(1, 2)
    for t, (a, b, c) in enumerate(corners[mesh]):
        twice_area = abs((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0])
        rounding = 8 * np.finfo(float).eps * np.max(np.abs([a, b, c]))
        if twice_area <= rounding * np.max(np.abs([b - a, c - a])):
            raise ValueError(
                f"triangle {t}, vertices {mesh[t].tolist()} at {corners[mesh[t]].tolist()}, "
                "has no area"
            )
    return np.linalg.inv(corner_matrices)
