"""Gradients of networks, held against differences in float64, and which smooth piece they are on.

The caches of layers say where a network has knots: rectifiers switch, maxima move to another pixel,
source points cross whole pixels.
"""

import numpy as np

from stn_ref import check_gradients
from stn_ref.equations import to_pixels
from stn_ref.nn import MaxPool2d, Parallel, Relu, Sequential, SpatialTransformer, warps
from stn_ref.nn.trees import mapped, named, renamed
from stn_ref.proofs.knots import no_crossing, sampler_pieces


def leaves(tree):
    return [leaf for _, leaf in named(tree)]


def same_bits(a, b):
    """Whether two trees have the same names, dtypes and bits."""
    return [(n, x.dtype, x.tobytes()) for n, x in named(a)] == [
        (n, x.dtype, x.tobytes()) for n, x in named(b)
    ]


def moved(params, rng, by=0.05):
    """Weights a little off their first values, so that no transformer is at its identity."""
    return mapped(lambda leaf: leaf + by * rng.uniform(-1, 1, leaf.shape), params)


def source_points(transformer, warp):
    size, corners = warp.U.shape[1:-1], transformer.align_corners
    return to_pixels(transformer.grid(warp), size, align_corners=corners)


def pieces(layer, cache):
    """What changes where a knot is crossed."""
    if isinstance(layer, Relu):
        yield cache > 0
    if isinstance(layer, MaxPool2d):
        which, _ = cache
        yield which
    if isinstance(layer, Sequential | Parallel):
        for inner, kept in zip(layer.layers, cache.inner, strict=True):
            yield from pieces(inner, kept)
    if isinstance(layer, SpatialTransformer):
        ((_, warp),) = warps(layer, cache)
        yield sampler_pieces(source_points(layer, warp))
        yield from pieces(layer.f_loc, warp.f_loc)


def check_network(layer, params, x, rng):
    """x and every weight, each against differences of y; at most 1e-6."""

    def weights(flat):
        by_name = dict(zip(dict(named(params)), flat, strict=True))
        return mapped(by_name.get, renamed(params))

    def backward(dy, x, *flat):
        dx, dparams = layer.backward(dy, layer.forward(weights(flat), x)[1])
        return dx, *leaves(dparams)

    def piece(x, *flat):
        found = [p.ravel() for p in pieces(layer, layer.forward(weights(flat), x)[1])]
        return np.concatenate([np.zeros(0), *found])

    report = check_gradients(
        lambda x, *flat: layer.forward(weights(flat), x)[0],
        backward,
        x,
        *leaves(params),
        rng=rng,
        knots=no_crossing(piece),
        tolerance=1e-6,
    )
    report.raise_if_wrong()
    assert [row.input for row in report.rows] == list(range(1 + len(leaves(params)))), "no knots"
    return report
