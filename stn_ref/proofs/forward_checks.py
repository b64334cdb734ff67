"""Forward mode and second derivatives held against finite differences: more rows of `checks`.

The law that forward and reverse mode are transposed is the tests'; it carries what `checks` shows
of gradients over to forward mode, so kernels and paddings are not crossed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
from numpy.random import Generator

from stn_ref import equations as eq
from stn_ref.backends import get
from stn_ref.backends.pixels import source_pixels
from stn_ref.backends.reference import transform_jvp
from stn_ref.equations.arguments import Array
from stn_ref.equations.transformation import forward_mode, named
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
from stn_ref.proofs.gradcheck import Report
from stn_ref.proofs.jvpcheck import check_jvp
from stn_ref.proofs.knots import no_crossing, sampler_knots, sampler_pieces

reference = get("reference")

Check = Callable[[Generator], Report]


def forward_checks() -> Iterator[tuple[str, Check]]:
    """(name, check) of everything that has a forward mode; check(rng) runs it."""
    yield "f_loc, forward · §3.1", localisation
    for axes, family in FAMILIES.items():
        for ac in (True, False):
            name = named(f"to_pixels, forward · §3.2 · align_corners={ac}", axes)
            yield name, partial(pixels, ac, axes)
        for transformation in family:
            yield f"{transformation.name}.grid, forward · §3.2", partial(grid, transformation, axes)
        for kernel, padding in zip(KERNELS if axes == 2 else FEW, cycle(eq.PADDINGS), strict=False):
            name = named(f"{kernel.name}, {padding}", axes)
            yield f"sample, forward · Eqs. 6, 7 · {name}", partial(sampler, kernel, padding, axes)
            yield f"sample, second · Eqs. 6, 7 · {name}", partial(second, kernel, padding, axes)
        for tie in TIES:
            name = named(f"sample, forward, on knots · Eq. 7 · tie={tie}", axes)
            yield name, partial(on_knots, tie, axes)
        for transformation in family:
            name = f"transform, forward · §3.2 · {transformation.name}"
            yield name, partial(fused, transformation, axes)
    yield "spatial_transformer, forward · §3.4", whole_module


def localisation(rng: Generator) -> Report:
    def f_jvp(*args: Array) -> Array:
        (U_dot, *dots), (U, *flat) = _halves(args)
        return eq.f_loc_jvp(U_dot, in_pairs(dots), U, in_pairs(flat))

    return check_jvp(
        lambda U, *flat: eq.f_loc(U, in_pairs(flat)),
        f_jvp,
        rng.standard_normal((2, *SOURCE, 1)),
        *flattened(busy_layers(rng)),
        rng=rng,
        knots=no_crossing(relu_pieces),
    )


def pixels(align_corners: bool, axes: int, rng: Generator) -> Report:
    size, source = SIZES[axes]
    return check_jvp(
        lambda grid: eq.to_pixels(grid, source, align_corners=align_corners),
        lambda grid_dot, grid: eq.to_pixels_jvp(grid_dot, source, align_corners=align_corners),
        rng.uniform(-1.5, 1.5, (2, *size, axes)),
        rng=rng,
    )


def grid(transformation: eq.Transformation, axes: int, rng: Generator) -> Report:
    return check_jvp(
        transformation.grid,
        forward_mode(transformation),
        near_identity(transformation, rng),
        0.9 * eq.target_grid(SIZES[axes][0]) + 0.03,
        rng=rng,
        knots=no_crossing(lambda theta, G: facets(transformation, G)),
    )


def sampler(kernel: eq.Kernel, padding: str, axes: int, rng: Generator) -> Report:
    options: dict[str, Any] = {"kernel": kernel, "padding": padding, "fill": fill_of(padding)}
    there, forward = partial(eq.sample, **options), partial(eq.sample_jvp, **options)
    inputs, knots = map_and_points(rng, axes), sampler_knots(kernel)
    return check_jvp(there, forward, *inputs, rng=rng, knots=knots)


def on_knots(tie: str, axes: int, rng: Generator) -> Report:
    U, xy = map_and_points(rng, axes)
    forward = partial(eq.sample_jvp, tie=tie)
    return check_jvp(eq.sample, forward, U, np.round(xy), rng=rng, knots=sampler_knots())


def second(kernel: eq.Kernel, padding: str, axes: int, rng: Generator) -> Report:
    """dU and dxy, side by side, as functions of dV, U and xy."""
    options: dict[str, Any] = {"kernel": kernel, "padding": padding, "fill": fill_of(padding)}
    U, xy = map_and_points(rng, axes)
    dV = rng.standard_normal((*xy.shape[:-1], U.shape[-1]))

    def f(*inputs: Array) -> Array:
        dU, dxy, _ = eq.sample_backward(*inputs, **options)
        return np.concatenate([dU.ravel(), dxy.ravel()])

    def f_jvp(*args: Array) -> Array:
        dU_dot, dxy_dot = eq.sample_backward_jvp(*args, **options)
        return np.concatenate([dU_dot.ravel(), dxy_dot.ravel()])

    knots = no_crossing(lambda dV, U, xy: sampler_pieces(xy, kernel))
    return check_jvp(f, f_jvp, dV, U, xy, rng=rng, knots=knots)


def fused(transformation: eq.Transformation, axes: int, rng: Generator) -> Report:
    """θ to V by the centred formula, onto another size."""
    size, source = SIZES[axes]
    options: dict[str, Any] = {"transformation": transformation, "align_corners": False}

    def pieces(U: Array, theta: Array) -> Array:
        return sampler_pieces(source_pixels(theta, transformation, size, source, False))

    return check_jvp(
        partial(reference.transform, size=size, **options),
        partial(transform_jvp, size=size, **options),
        rng.standard_normal((2, *source, 3)),
        near_identity(transformation, rng),
        rng=rng,
        knots=no_crossing(pieces),
    )


def whole_module(rng: Generator) -> Report:
    def f_jvp(*args: Array) -> Array:
        (U_dot, *dots), (U, *flat) = _halves(args)
        return eq.spatial_transformer_jvp(U_dot, in_pairs(dots), U, in_pairs(flat), size=SIZE)

    return check_jvp(
        lambda U, *flat: eq.spatial_transformer(U, in_pairs(flat), size=SIZE),
        f_jvp,
        rng.standard_normal((2, *SOURCE, 1)),
        *flattened(busy_layers(rng)),
        rng=rng,
        knots=no_crossing(module_pieces),
    )


def _halves(args: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The tangents, and the inputs after them."""
    return args[: len(args) // 2], args[len(args) // 2 :]
