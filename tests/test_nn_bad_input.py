"""Bad layers and bad input are errors that say what was given and what was expected."""

import re

import numpy as np
import pytest

from stn_ref.equations import BILINEAR, affine, thin_plate_spline
from stn_ref.nn import (
    AveragePool,
    AveragePool2d,
    Conv2d,
    Dense,
    Flatten,
    Parallel,
    Project,
    Relu,
    Sequential,
    SpatialTransformer,
    cast,
    fully_connected,
    softmax_cross_entropy,
)


def transformer(**options):
    return SpatialTransformer(fully_connected(5), **options)


PLANES, VECTORS = np.ones((2, 5, 6, 1)), np.ones((2, 4))


def first(layer, shape):
    return lambda: layer.initialise(np.random.default_rng(0), shape)


def forward(layer, shape, x):
    return lambda: layer.forward(first(layer, shape)()[0], x)


def backward(layer, shape, x, dy):
    params, _ = first(layer, shape)()
    return layer.backward(dy, layer.forward(params, x)[1])


def loss(logits, labels):
    return lambda: softmax_cross_entropy(logits, np.asarray(labels))


BAD = {
    "dense on planes": (
        first(Dense(3), (5, 6, 1)),
        ValueError,
        "Dense(3) takes (F,), after Flatten(); its input has (5, 6, 1)",
    ),
    "no units": (lambda: Dense(0), ValueError, "units is 0; expected an integer of at least 1"),
    "negative units": (
        lambda: fully_connected(-3),
        ValueError,
        "units is -3; expected an integer of at least 1",
    ),
    "true units": (lambda: Dense(True), TypeError, "units is True; expected an integer"),
    "half a unit": (lambda: Dense(1.5), TypeError, "units is 1.5; expected an integer"),
    "another width": (
        forward(Dense(3), (5,), VECTORS),
        ValueError,
        "x has shape (2, 4); expected (B, 5)",
    ),
    "integers": (forward(Relu(), (4,), VECTORS.astype(int)), TypeError, "x has dtype int64"),
    "half precision": (
        forward(Flatten(), (5, 6, 1), PLANES.astype(np.float16)),
        TypeError,
        "x has dtype float16; expected float32 or float64",
    ),
    "no layers": (lambda: Sequential(), ValueError, "there are no layers; expected at least one"),
    "nothing side by side": (lambda: Parallel(), ValueError, "there are no layers; expected"),
    "a list of layers": (lambda: Sequential([Relu()]), TypeError, "[Relu()] is no layer; expected"),
    "a layer's class": (lambda: Parallel(Relu), TypeError, "Relu'> is no layer; expected one such"),
    "parallel sizes": (
        first(Parallel(Conv2d(1, 3), Conv2d(1, 5)), (9, 9, 2)),
        ValueError,
        "outputs have shapes [(7, 7, 1), (5, 5, 1)]; all but the channels must agree",
    ),
    "parallel ranks": (
        first(Parallel(Relu(), Flatten()), (9, 9, 2)),
        ValueError,
        "outputs have shapes [(9, 9, 2), (162,)]; all but the channels must agree",
    ),
    "too few weights": (
        lambda: Sequential(Relu(), Relu()).forward(((),), VECTORS),
        ValueError,
        "shorter",
    ),
    "a localisation network by name": (
        lambda: SpatialTransformer("cnn"),
        TypeError,
        "'cnn' is no layer; expected one such as Dense(10)",
    ),
    "a transformation by name": (
        lambda: transformer(transformation="affine"),
        TypeError,
        "transformation is 'affine'; expected one such as AFFINE",
    ),
    "an empty output": (lambda: transformer(size=(0, 3)), ValueError, "each must be at least 1"),
    "a size of one number": (lambda: transformer(size=5), TypeError, "size is 5; expected two"),
    "unknown padding": (
        lambda: transformer(padding="mirror"),
        ValueError,
        "padding is 'mirror'; expected one of 'zeros'",
    ),
    "a kernel by name": (
        lambda: transformer(kernel="bilinear"),
        TypeError,
        "kernel is 'bilinear'; expected a Kernel",
    ),
    "corners": (lambda: transformer(align_corners=1), TypeError, "align_corners is 1; expected"),
    "an unknown backend": (
        lambda: transformer(backend="gpu"),
        ValueError,
        "backend is 'gpu'; expected one of 'auto', 'reference'",
    ),
    "a transformer on vectors": (
        first(transformer(), (4,)),
        ValueError,
        "SpatialTransformer takes (H, W, C); its input has shape (4,)",
    ),
    "a transformer's input": (
        forward(transformer(), (5, 6, 1), PLANES[0]),
        ValueError,
        "U has shape (5, 6, 1); expected (B, H, W, C)",
    ),
    "a transformer's gradient": (
        lambda: backward(transformer(), (5, 6, 1), PLANES, PLANES[:1]),
        ValueError,
        "dy has shape (1, 5, 6, 1); expected (2, 5, 6, 1)",
    ),
    "maps' transformation of volumes": (
        first(transformer(), (3, 4, 5, 1)),
        ValueError,
        "SpatialTransformer takes (H, W, C); its input has shape (3, 4, 5, 1), and its "
        "transformation is affine",
    ),
    "signals' transformation of maps": (
        first(transformer(transformation=affine(1)), (5, 6, 1)),
        ValueError,
        "takes (W, C); its input has shape (5, 6, 1), and its transformation is affine 1-D",
    ),
    "maps' spline of volumes": (
        first(transformer(transformation=thin_plate_spline()), (3, 4, 5, 1)),
        ValueError,
        "takes (H, W, C); its input has shape (3, 4, 5, 1), and its transformation is thin plate",
    ),
    "maps to volumes' transformer": (
        forward(transformer(transformation=affine(3)), (5, 6, 7, 1), PLANES),
        ValueError,
        "U has shape (2, 5, 6, 1); expected (B, D, H, W, C)",
    ),
    "a size of maps for volumes": (
        first(transformer(transformation=affine(3), size=(4, 4)), (3, 4, 5, 1)),
        TypeError,
        "size is (4, 4); expected three integers, (depth, height, width)",
    ),
    "kernels of maps for volumes": (
        first(transformer(transformation=affine(3), kernel=(BILINEAR,) * 2), (3, 4, 5, 1)),
        TypeError,
        "expected a Kernel or three, one an axis, (x, y, z)",
    ),
    "no kernels": (lambda: transformer(kernel=()), TypeError, "kernel is (); expected a Kernel"),
    "four kernels": (lambda: transformer(kernel=(BILINEAR,) * 4), TypeError, "expected a Kernel"),
    "two kernels, one by name": (
        lambda: transformer(kernel=(BILINEAR, "keys")),
        TypeError,
        "expected a Kernel or two",
    ),
    "a pool on vectors": (
        first(AveragePool(2), (4,)),
        ValueError,
        "AveragePool takes (W, C) or (H, W, C) or (D, H, W, C); its input has shape (4,)",
    ),
    "a pool too wide": (
        first(AveragePool(3), (2, 4, 4, 1)),
        ValueError,
        "AveragePool(3) does not fit into an input of shape (2, 4, 4, 1)",
    ),
    "a map's pool on volumes": (
        lambda: AveragePool2d(2).forward((), np.ones((2, 4, 4, 4, 1))),
        ValueError,
        "x has shape (2, 4, 4, 4, 1); expected (B, H, W, C)",
    ),
    "a projection of signals": (
        first(Project(), (4, 1)),
        ValueError,
        "Project takes (H, W, C) or (D, H, W, C); its input has shape (4, 1)",
    ),
    "a projection of vectors": (
        lambda: Project().forward((), VECTORS),
        ValueError,
        "x has shape (2, 4); expected (B, D, H, W, C) or (B, H, W, C)",
    ),
    "a projection of no slices": (
        lambda: Project().forward((), np.ones((2, 0, 4, 5, 1))),
        ValueError,
        "x has shape (2, 0, 4, 5, 1); expected (B, D, H, W, C) or (B, H, W, C), with something",
    ),
    "a projection's gradient": (
        lambda: backward(Project(), (5, 6, 1), PLANES, PLANES),
        ValueError,
        "dy has shape (2, 5, 6, 1); expected (2, 6, 1)",
    ),
    "weights in lists": (
        lambda: cast(([VECTORS, VECTORS],), np.float32),
        TypeError,
        "a leaf of the weights is [array(",
    ),
    "no weights": (
        lambda: cast((None, {"W": VECTORS}), np.float32),
        TypeError,
        "a leaf of the weights is None; expected an array: weights are tuples and dicts of arrays",
    ),
    "another image size": (
        forward(transformer(), (5, 5, 1), PLANES),
        ValueError,
        "x has shape (2, 30); expected (B, 25)",
    ),
    "logits of planes": (loss(PLANES, [0, 0]), ValueError, "logits has shape (2, 5, 6, 1); expec"),
    "integer logits": (loss([[1, 2]], [0]), TypeError, "logits has dtype int64"),
    "labels as floats": (loss(VECTORS, [0.0, 1]), TypeError, "labels have dtype float64; expected"),
    "labels in a column": (
        loss(VECTORS, [[0], [1]]),
        ValueError,
        "labels have shape (2, 1); expected (2,), as logits have (2, 4)",
    ),
    "labels of another batch": (loss(VECTORS, [0]), ValueError, "labels have shape (1,); expected"),
    "a class too many": (
        loss(VECTORS, [0, 4]),
        ValueError,
        "labels go from 0 to 4; logits have classes 0 to 3",
    ),
    "a negative class": (loss(VECTORS, [-1, 0]), ValueError, "labels go from -1 to 0; logits"),
    "no labels": (
        loss(VECTORS[:0], np.zeros(0, int)),
        ValueError,
        "there are no labels; the mean over a batch needs at least one",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_says_what_was_given_and_what_was_expected(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=re.escape(message)):
        call()
