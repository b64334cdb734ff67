"""Every function's gradient held against finite differences: `python -m stn_ref check`.

Each is checked in every argument, with one choice of the options that its name does not tell.
Points are off the knots, where each derivative has one value, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.random import Generator

from stn_ref import equations as eq
from stn_ref.backends import get
from stn_ref.backends.pixels import source_pixels
from stn_ref.equations.arguments import Array
from stn_ref.equations.lattice import per_image
from stn_ref.equations.transformation import has_matrix, named
from stn_ref.proofs.cases import (
    FAMILIES,
    FEW,
    KERNELS,
    SIZE,
    SIZES,
    SOURCE,
    TIES,
    busy_layers,
    facets,
    fill_of,
    flattened,
    in_pairs,
    map_and_points,
    module_pieces,
    near_identity,
    relu_pieces,
)
from stn_ref.proofs.forward_checks import Check, forward_checks
from stn_ref.proofs.gradcheck import Report, check_gradients
from stn_ref.proofs.knots import no_crossing, sampler_knots, sampler_pieces

reference = get("reference")


def all_checks() -> Iterator[tuple[str, Check]]:
    """(name, check) of everything that has a derivative; check(rng) runs it."""
    yield "f_loc · §3.1", localisation
    for axes in FAMILIES:
        yield from checks_of(axes)
    yield "spatial_transformer · §3.4", whole_module
    yield from forward_checks()


def checks_of(axes: int) -> Iterator[tuple[str, Check]]:
    """Those of maps, or of signals or volumes."""
    for ac in (True, False):
        yield named(f"to_pixels · §3.2 · align_corners={ac}", axes), partial(pixels, ac, axes)
    for transformation in FAMILIES[axes]:
        name = transformation.name
        yield f"{name}.grid · §3.2", partial(grid, transformation, axes)
        if has_matrix(transformation):
            yield f"{name}.matrix · §3.2", partial(matrix, transformation)
        if isinstance(transformation, eq.Linear):
            yield f"{name}.grid, dB · §3.2", partial(basis, transformation, axes)
    for kernel, padding in product(KERNELS if axes == 2 else FEW, eq.PADDINGS):
        name = named(f"{kernel.name}, {padding}", axes)
        yield f"sample · Eqs. 3, 6, 7 · {name}", partial(sampler, kernel, padding, axes)
        if kernel.Phi:
            yield f"sample, dΦ · §3.3 · {name}", partial(parameters, kernel, padding, axes)
    for tie in TIES:
        yield named(f"sample, on knots · Eq. 7 · tie={tie}", axes), partial(on_knots, tie, axes)
    for transformation in FAMILIES[axes]:
        name = f"transform · §3.2 · {transformation.name}"
        yield name, partial(fused, transformation, axes)
        for tie in TIES:
            check = partial(identity, transformation, tie, axes)
            yield f"{name}, at the identity, tie={tie}", check


def localisation(rng: Generator) -> Report:
    U = rng.standard_normal((2, *SOURCE, 1))
    flat = flattened(busy_layers(rng))

    def f_backward(dtheta: Array, U: Array, *flat: Array) -> tuple[Array, ...]:
        dU, dlayers = eq.f_loc_backward(dtheta, U, in_pairs(flat))
        return (dU, *flattened(dlayers))

    return check_gradients(
        lambda U, *flat: eq.f_loc(U, in_pairs(flat)),
        f_backward,
        U,
        *flat,
        rng=rng,
        knots=no_crossing(relu_pieces),
    )


def pixels(align_corners: bool, axes: int, rng: Generator) -> Report:
    size, source = SIZES[axes]
    grid = rng.uniform(-1.5, 1.5, (2, *size, axes))
    return check_gradients(
        lambda grid: eq.to_pixels(grid, source, align_corners=align_corners),
        lambda dxy, grid: eq.to_pixels_backward(dxy, source, align_corners=align_corners),
        grid,
        rng=rng,
    )


def grid(transformation: eq.Transformation, axes: int, rng: Generator) -> Report:
    theta, G = near_identity(transformation, rng), 0.9 * eq.target_grid(SIZES[axes][0]) + 0.03
    return check_gradients(
        transformation.grid,
        transformation.grid_backward,
        theta,
        G,
        rng=rng,
        knots=no_crossing(lambda theta, G: facets(transformation, G)),
    )


def matrix(transformation: eq.Transformation, rng: Generator) -> Report:
    assert transformation.matrix and transformation.matrix_backward
    theta = near_identity(transformation, rng)
    return check_gradients(transformation.matrix, transformation.matrix_backward, theta, rng=rng)


def basis(transformation: eq.Linear, axes: int, rng: Generator) -> Report:
    """dB, for a basis that is learnt."""
    theta = near_identity(transformation, rng)
    return check_gradients(
        lambda B: B @ per_image(theta, axes),
        lambda dgrid, B: transformation.basis_gradient(dgrid, theta),
        rng.standard_normal((2, *SIZES[axes][0], len(theta[0]))),
        rng=rng,
    )


def sampler(kernel: eq.Kernel, padding: str, axes: int, rng: Generator) -> Report:
    options: dict[str, Any] = {"kernel": kernel, "padding": padding, "fill": fill_of(padding)}
    there, back = partial(eq.sample, **options), partial(eq.sample_backward, **options)
    inputs, knots = map_and_points(rng, axes), sampler_knots(kernel)
    return check_gradients(there, back, *inputs, rng=rng, knots=knots)


def parameters(kernel: eq.Kernel, padding: str, axes: int, rng: Generator) -> Report:
    """dΦ of every axis, each a row with its own Φ, at points away from every knot."""
    U, xy = map_and_points(rng, axes)
    fractions = np.linspace(0, 1, 50)[:-1]
    ends = np.stack([fractions, fractions - kernel.support, fractions + kernel.support])
    away = np.all(np.abs(ends - np.round(ends)) > 0.1, axis=0)
    xy = np.floor(xy) + rng.choice(fractions[away], xy.shape)

    def f(*phis: Array) -> Array:
        rows = tuple(replace(kernel, Phi=tuple(phi)) for phi in phis)
        return eq.sample(U, xy, kernel=rows, padding=padding, fill=fill_of(padding))

    def f_backward(dV: Array, *phis: Array) -> tuple[Array, ...]:
        return eq.sample_backward(dV, U, xy, kernel=kernel, padding=padding, fill=fill_of(padding))[
            2
        ]

    return check_gradients(f, f_backward, *[np.array(kernel.Phi)] * axes, rng=rng)


def on_knots(tie: str, axes: int, rng: Generator) -> Report:
    U, xy = map_and_points(rng, axes)
    back = partial(eq.sample_backward, tie=tie)
    return check_gradients(eq.sample, back, U, np.round(xy), rng=rng, knots=sampler_knots())


def fused(transformation: eq.Transformation, axes: int, rng: Generator) -> Report:
    """θ to V and back by the centred formula, onto another size."""
    size, source = SIZES[axes]

    def pieces(U: Array, theta: Array) -> Array:
        return sampler_pieces(source_pixels(theta, transformation, size, source, False))

    return check_gradients(
        partial(reference.transform, transformation=transformation, size=size, align_corners=False),
        partial(reference.transform_backward, transformation=transformation, align_corners=False),
        rng.standard_normal((2, *source, 3)),
        near_identity(transformation, rng),
        rng=rng,
        knots=no_crossing(pieces),
    )


def identity(transformation: eq.Transformation, tie: str, axes: int, rng: Generator) -> Report:
    """dθ where every point is on a knot: Σ dxy ∂xy/∂θ, with dxy of the same tie."""
    _, source = SIZES[axes]
    U = rng.standard_normal((2, *source, 3))
    theta = np.stack([transformation.identity()] * 2)
    dV = rng.standard_normal(U.shape)
    xy = source_pixels(theta, transformation, source, source, True)
    _, dxy, _ = eq.sample_backward(dV, U, xy, tie=tie)

    def f(theta: Array) -> Array:
        return np.asarray(np.sum(dxy * source_pixels(theta, transformation, source, source, True)))

    def f_backward(dout: Array, theta: Array) -> Array:
        _, dtheta = reference.transform_backward(
            dV, U, theta, transformation=transformation, tie=tie
        )
        return dout * dtheta

    return check_gradients(f, f_backward, theta, rng=rng)


def whole_module(rng: Generator) -> Report:
    """The module of §3.4, in U and in every weight of its localisation network."""

    def f(U: Array, *flat: Array) -> Array:
        return eq.spatial_transformer(U, in_pairs(flat), size=SIZE)

    def f_backward(dV: Array, U: Array, *flat: Array) -> tuple[Array, ...]:
        dU, dlayers = eq.spatial_transformer_backward(dV, U, in_pairs(flat))
        return (dU, *flattened(dlayers))

    flat = flattened(busy_layers(rng))
    U = rng.standard_normal((2, *SOURCE, 1))
    return check_gradients(f, f_backward, U, *flat, rng=rng, knots=no_crossing(module_pieces))
