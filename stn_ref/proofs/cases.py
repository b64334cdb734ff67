"""What is checked, and where: transformations, kernels, tiny sizes, random inputs, their knots."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from stn_ref import equations as eq
from stn_ref.equations.arguments import Array
from stn_ref.proofs.knots import sampler_pieces

# a square cut into four triangles at a point off its centre
MESH = (
    np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [0.13, 0.07]]),
    np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]),
)
TRANSFORMATIONS = (
    eq.AFFINE,
    eq.ATTENTION,
    eq.TRANSLATION,
    eq.SIMILARITY,
    eq.ROTATION,
    eq.PROJECTIVE,
    eq.piecewise_affine(*MESH),
    eq.thin_plate_spline(),
    eq.compose(eq.PROJECTIVE, eq.ROTATION),
    eq.compose(eq.AFFINE, eq.thin_plate_spline(MESH[0], regularisation=0.1)),
)
SOLID = np.concatenate([eq.target_grid((2, 2, 2)).reshape(-1, 3), [[0.13, 0.07, -0.2]]])
FAMILY = (eq.affine, eq.attention, eq.translation)
BENT = eq.compose(eq.affine(3), eq.thin_plate_spline(SOLID, regularisation=0.1))
FAMILIES = {
    2: TRANSFORMATIONS,
    1: tuple(family(1) for family in FAMILY),
    3: (*(family(3) for family in FAMILY), eq.thin_plate_spline(SOLID), BENT),
}
KERNELS = (
    eq.INTEGER,
    eq.BILINEAR,
    eq.keys(),
    eq.hat(1.5),
    eq.gaussian(0.4),
    eq.lanczos(),
    eq.bspline(2),
    eq.bspline(3),
    eq.normalised(eq.hat(1.5)),
    eq.normalised(eq.gaussian(0.4)),
)
FEW = (eq.BILINEAR, eq.keys())  # on signals and volumes, where the axes are as on maps
SIZES = {2: ((3, 4), (5, 6)), 1: ((4,), (6,)), 3: ((2, 3, 2), (3, 2, 4))}  # H', W' and H, W
SIZE, SOURCE = SIZES[2]
TIES = ("right", "left", "central")


def near_identity(transformation: eq.Transformation, rng: Generator) -> Array:
    """θ (2, …), the identity and a random step away from it."""
    start = transformation.identity()
    return start + rng.uniform(-0.4, 0.4, (2, *start.shape))


def map_and_points(rng: Generator, axes: int) -> tuple[Array, Array]:
    """U with three channels, and points that lie up to three pixels outside it."""
    size, source = SIZES[axes]
    ends = [S + 2 for S in source[::-1]]
    return rng.standard_normal((2, *source, 3)), rng.uniform(-3, ends, (2, *size, axes))


def busy_layers(rng: Generator) -> list[tuple[Array, Array]]:
    """Localisation layers whose regression weights are not 0, so that every path carries."""
    *hidden, (W, b) = eq.initial_layers(rng, SOURCE[0] * SOURCE[1], (4, 3), eq.AFFINE.identity())
    return [*hidden, (rng.uniform(-0.3, 0.3, W.shape), b)]


def fill_of(padding: str) -> float:
    return 0.7 if padding == "constant" else 0.0


def facets(transformation: eq.Transformation, G: Array) -> Array:
    """Which part of its basis is not 0 at each point: for a mesh, the facet that it is on."""
    if isinstance(transformation, eq.Linear):
        return np.sign(np.abs(transformation.basis(G)))
    return np.zeros(0)


def in_pairs(flat: tuple[Array, ...] | list[Array]) -> list[tuple[Array, Array]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def flattened(layers: list[tuple[Array, Array]]) -> list[Array]:
    return [array for layer in layers for array in layer]


def relu_pieces(U: Array, *flat: Array) -> Array:
    """Which hidden units are on."""
    h, on = U.reshape(len(U), -1), []
    for W, b in in_pairs(flat)[:-1]:
        h = np.maximum(0, h @ W + b)
        on.append((h > 0).ravel())
    return np.concatenate(on)


def module_pieces(U: Array, *flat: Array) -> Array:
    """Of the module of §3.4: those of its points, and which hidden units are on."""
    grid = eq.AFFINE.grid(eq.f_loc(U, in_pairs(flat)), eq.target_grid(SIZE))
    xy = eq.to_pixels(grid, SOURCE)
    return np.concatenate([sampler_pieces(xy).ravel(), relu_pieces(U, *flat)])
