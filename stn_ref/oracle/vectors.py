"""Golden vectors: the cases that a port is given, and what the oracle expects of it.

A row for each dialect, and for its volumes and signals: the function, the options it is called
with, and the cases drawn for each. `vector_files` writes them, the same bits on every machine; so
what a processor may have a say in is rounded away here, the last bits of a draw and of a bound. It
has none in exact values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.oracle import jax, onnx, opencv, scipy, tensorflow, torch, torch7
from stn_ref.oracle.bounds import Expected
from stn_ref.oracle.dialect import expected, gradient_of, sampler_of
from stn_ref.oracle.families import cases

SEED = 2015
GRAIN = 2.0**-20  # of values and of pixel coordinates
BITS = 8  # of a bound

Options = dict[str, Any]
Drawn = dict[str, dict[str, tuple[int, ...]]]

# precision: family: which of its cases
DRAWN: Drawn = {
    "float32": {
        "random": (1,),
        "knots": (0,),
        "half-integers": (2,),
        "edges": (0, 2),
        "size-1 axes": (0, 1, 2),
        "empty": (0, 1, 2),
        "not finite": (2,),
        "huge": (2,),
    },
    "float64": {"random": (0,), "edges": (0,)},
}
IN_HALF: Drawn = {**DRAWN, "float16": {"random": (0,)}}
# of volumes and signals fewer: what differs from images is the number of axes
FEW: Drawn = {
    "float32": {
        "knots": (0,),
        "half-integers": (0,),
        "edges": (0,),
        "size-1 axes": (1,),
        "empty": (0,),
        "not finite": (-1,),
    },
    "float64": {"random": (0,)},
}
FEW_IN_HALF: Drawn = {**FEW, "float16": {"random": (2,)}}


class Row(NamedTuple):
    """What is drawn for a dialect."""

    function: Callable[..., Any]
    options: Sequence[Options]
    drawn: Drawn = DRAWN
    gradients: bool = True  # whether the framework has any
    axes: int = 2

    @property
    def dialect(self) -> str:
        """Its module's name."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def name(self) -> str:
        """Of its files."""
        return self.dialect + {1: "_signals", 2: "", 3: "_volumes"}[self.axes]


class Vector(NamedTuple):
    """A case: how the function is called, with what, and what it should give."""

    family: str
    dtype: str
    options: Options
    arrays: dict[str, Array]


def _every(**options: Sequence[Any]) -> list[Options]:
    return [dict(zip(options, chosen, strict=True)) for chosen in product(*options.values())]


# written out, lest a mode that joins a dialect should change the vectors unasked
TORCH = _every(
    mode=("bilinear", "nearest", "bicubic"),
    padding_mode=("zeros", "border", "reflection"),
    align_corners=(False, True),
)
TORCH_VOLUMES = [options for options in TORCH if options["mode"] != "bicubic"]
ONNX = _every(
    mode=("linear", "nearest", "cubic"),
    padding_mode=("zeros", "border", "reflection"),
    align_corners=(0, 1),
)
JAX = _every(order=(0, 1), mode=("constant", "nearest", "wrap", "mirror", "reflect"), cval=(0.5,))
SCIPY = _every(  # its "grid-mirror" is its "reflect"
    order=(0, 1),
    mode=("constant", "grid-constant", "nearest", "reflect", "mirror", "wrap", "grid-wrap"),
    cval=(0.5,),
)
OPENCV = _every(
    interpolation=(0, 1, 2),  # INTER_NEAREST, INTER_LINEAR, INTER_CUBIC
    borderMode=(0, 1, 2, 3, 4),  # BORDER_CONSTANT, _REPLICATE, _REFLECT, _WRAP, _REFLECT_101
    borderValue=([0.5, -0.25, 0.75, 0.0],),
)
ROWS = (
    Row(torch.grid_sample, TORCH, IN_HALF),
    Row(onnx.grid_sample, ONNX, IN_HALF, gradients=False),
    Row(jax.map_coordinates, JAX),
    Row(scipy.map_coordinates, SCIPY, gradients=False),
    Row(opencv.remap, OPENCV, gradients=False),
    Row(tensorflow.resampler, [{}]),
    Row(torch7.bilinear_sampler_bhwd, [{}]),
    Row(torch.grid_sample, TORCH_VOLUMES, FEW_IN_HALF, axes=3),
    Row(onnx.grid_sample, ONNX, FEW_IN_HALF, gradients=False, axes=3),
    Row(onnx.grid_sample, ONNX, FEW_IN_HALF, gradients=False, axes=1),
    *(Row(jax.map_coordinates, JAX, FEW, axes=axes) for axes in (3, 1)),
    *(Row(scipy.map_coordinates, SCIPY, FEW, gradients=False, axes=axes) for axes in (3, 1)),
)


def vectors(row: Row, options: Options) -> Iterator[Vector]:
    """A dialect's cases with these options; the pixels and points are alike for all options."""
    known = sampler_of(row.function)
    for dtype, families in row.drawn.items():
        for family, chosen in families.items():
            # a stream of its own: what joins later leaves the rest as it was
            rng = np.random.default_rng([SEED, *family.encode()])
            found = list(cases(family, rng, known.kept, row.axes))
            for k, (U, xy) in enumerate(found):
                if k in chosen or k - len(found) in chosen:
                    given = known.arrange(_grained(U), _grained(xy), options)
                    arguments = [np.ascontiguousarray(a, dtype) for a in given]
                    yield Vector(family, dtype, options, _arrays(row, arguments, options))


def _arrays(row: Row, arguments: list[Array], options: Options) -> dict[str, Array]:
    """Arguments, value, and gradients if there are any, by name."""
    names = list(inspect.signature(row.function).parameters)[: len(arguments)]
    arrays = dict(zip(names, arguments, strict=True))

    def expect(name: str, truth: Expected) -> None:
        arrays[name], arrays[f"{name}_bound"] = truth.value, rounded_up(truth.bound)

    truth = expected(row.function, *arguments, **options)
    expect("value", truth)
    # at a point that is not finite a gradient is nobody's promise
    if row.gradients and all(np.isfinite(a).all() for a in arguments):
        rng = np.random.default_rng([SEED, *b"grad_output"])
        loss = _grained(rng.uniform(-1, 1, truth.value.shape)).astype(arguments[0].dtype)
        arrays["grad_output"] = loss
        gradients = expected(gradient_of(row.function), loss, *arguments, **options)
        for name, gradient in zip(names, gradients, strict=True):
            expect(f"grad_{name}", gradient)
    return arrays


def _grained(a: Array) -> Array:
    """To whole grains: `uniform` is a product and a sum, which some processors round only once."""
    return np.asarray(np.round(a / GRAIN) * GRAIN)


def rounded_up(bound: Array) -> Array:
    """To a few bits, upwards: a bound's sums are in an order that is NumPy's own affair.

    First a little up, or one that is a round number would lie now below it and now above.
    """
    fraction, exponent = np.frexp(bound * (1 + 2.0**-20))
    return np.asarray(np.ldexp(np.ceil(fraction * 2**BITS) / 2**BITS, exponent))
