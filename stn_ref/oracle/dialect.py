"""How a dialect's function is made: its arguments are translated, and a `Sampling` does the rest.

    @sampler(arrange)
    def grid_sample(input, grid, …) -> Sampling: …

    grid_sample_backward = gradient_of(grid_sample)

The first then returns the output and the second the gradients, each in the framework's layout, and
`expected` knows both. `arrange` goes the other way, from our terms to the framework's arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array
from stn_ref.oracle import exact
from stn_ref.oracle.arguments import cast, gradient_like
from stn_ref.oracle.bounds import Expected, gradients_and_bounds, value_and_bound
from stn_ref.oracle.sampling import Sampling

P = ParamSpec("P")
# U (B, H, W, C), xy (B, H', W', 2) in pixels and the options ↦ the function's first arguments
Arrange = Callable[[Array, Array, dict[str, Any]], tuple[Any, ...]]


class Sampler(NamedTuple):
    """What the oracle knows of a function that samples."""

    translate: Callable[..., Sampling]
    arrange: Arrange
    kept: str  # which of the axes B and C its images have
    axes: tuple[int, ...]  # along how many it samples: 1, 2 or 3


class Dialect(NamedTuple):
    """What a framework has, what it is called there, and its rules where frameworks differ."""

    function: Callable[..., Any]
    points: str  # how they are given
    kernels: dict[str, dict[str, Any]]  # nearest, linear, cubic ↦ the options that ask for it
    paddings: dict[str, dict[str, Any]]  # ours ↦ the options that ask for it
    rules: dict[str, str]  # by topic: ties, outside, not finite, slopes, edges
    axes: int = 2


_analyses: dict[Callable[..., Any], Callable[..., Any]] = {}
_samplers: dict[Callable[..., Any], Sampler] = {}
_gradients: dict[Callable[..., Any], Callable[..., Any]] = {}


def expected(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a dialect's function should give, and how exactly, in its first array's precision.

    function  of a dialect, such as `stn_ref.oracle.torch.grid_sample`, or its `_backward`; options
              may be bound to it by `functools.partial`
    Returns an Expected, or a tuple of them where the function returns a tuple: the exact value,
    rounded to float64, and for each element how far a correct result may be from it.
    Raises TypeError if the function is none of a dialect's.

    >>> from stn_ref.oracle import expected, torch
    >>> images, grid = np.eye(2, dtype=np.float32)[None, None], np.zeros((1, 1, 1, 2), np.float32)
    >>> V, bound = expected(torch.grid_sample, images, grid)
    >>> V.item(), bound.item() < 1e-6
    (0.5, True)
    """
    if isinstance(function, partial):
        args, kwargs = function.args + args, function.keywords | kwargs
        function = function.func
    if function not in _analyses:
        raise TypeError(f"{function!r} has no bounds; these have: {_names(_analyses)}")
    return _analyses[function](*args, **kwargs)


def analysed_by(analysis: Callable[..., Any]) -> Callable[[Callable[P, Array]], Callable[P, Array]]:
    """Tell `expected` what to call for a function: its arguments ↦ an Expected, or several."""

    def remember(function: Callable[P, Array]) -> Callable[P, Array]:
        _analyses[function] = analysis
        return function

    return remember


def sampler(
    arrange: Arrange, kept: str = "BC", axes: tuple[int, ...] = (2,)
) -> Callable[[Callable[P, Sampling]], Callable[P, Array]]:
    """Make the function whose arguments a translation translates."""

    def make(translate: Callable[P, Sampling]) -> Callable[P, Array]:
        @wraps(translate)
        def function(*args: P.args, **kwargs: P.kwargs) -> Array:
            s = translate(*args, **kwargs)
            return cast(s.layout.value(exact.value(s)), s.layout.dtypes[0])

        def analysis(*args: P.args, **kwargs: P.kwargs) -> Expected:
            s = translate(*args, **kwargs)
            dtype = s.layout.dtypes[0]
            V, bound = map(s.layout.value, value_and_bound(s))
            if np.issubdtype(dtype, np.integer):  # computed as float32, and rounded at last
                V, bound = np.clip(V, np.iinfo(dtype).min, np.iinfo(dtype).max), bound + 0.5
            return Expected(V, bound)

        _signed(function, inspect.signature(translate).parameters.values(), "Array")
        _samplers[function] = Sampler(translate, arrange, kept, axes)
        _analyses[function] = analysis
        return function

    return make


def sampler_of(function: Callable[..., Any], axes: int | None = None) -> Sampler:
    """What is known of a function; TypeError if it is none that samples.

    axes  along how many it should, if that matters; ValueError if it does not
    """
    if function not in _samplers:
        raise TypeError(f"{function!r} is no sampler of a dialect; these are: {_names(_samplers)}")
    known = _samplers[function]
    if axes is not None and axes not in known.axes:
        can = " or ".join(map(str, known.axes))
        raise ValueError(f"axes is {axes!r}; {_names([function])} samples along {can}")
    return known


def gradient_of(
    function: Callable[P, Array],
) -> Callable[Concatenate[ArrayLike, P], tuple[Array, ...]]:
    """The gradients of a function in its first arguments: `<name>_backward(grad_output, …)`."""
    if function in _gradients:
        return _gradients[function]
    translate = _samplers[function].translate

    def carried(grad_output: ArrayLike, s: Sampling) -> Array:
        if np.issubdtype(s.layout.dtypes[0], np.integer):
            raise TypeError(
                f"images of dtype {s.layout.dtypes[0]} have no gradient; cast them first"
            )
        shape = s.layout.value(np.empty((*s.p.shape[:-1], s.U.shape[-1]))).shape
        return s.layout.loss(gradient_like("grad_output", grad_output, shape))

    def backward(grad_output: ArrayLike, *args: P.args, **kwargs: P.kwargs) -> tuple[Array, ...]:
        s = translate(*args, **kwargs)
        dU, dp = exact.gradient(s, carried(grad_output, s))
        images, points = s.layout.dtypes
        coordinates = [cast(d, points) for d in s.layout.points(dp)]
        return cast(s.layout.images(dU), images), *coordinates

    def analysis(grad_output: ArrayLike, *args: P.args, **kwargs: P.kwargs) -> tuple[Expected, ...]:
        s = translate(*args, **kwargs)
        dU, dp = gradients_and_bounds(s, carried(grad_output, s))
        coordinates = zip(*map(s.layout.points, dp), strict=True)
        return Expected(*map(s.layout.images, dU)), *(Expected(*pair) for pair in coordinates)

    backward.__name__ = backward.__qualname__ = f"{function.__name__}_backward"
    backward.__module__ = function.__module__
    first, *others = inspect.signature(function).parameters.values()
    _signed(backward, (_GRAD_OUTPUT, first, *others), "tuple[Array, ...]")
    backward.__doc__ = f"""The gradients of `{function.__name__}` in its images and coordinates.

    grad_output  the gradient of what it returns, of that shape
    The rest is as there.
    Returns the gradients in the arguments' order, layout and dtypes.
    """
    _analyses[backward] = analysis
    return _gradients.setdefault(function, backward)


def _names(functions: Iterable[Callable[..., Any]]) -> str:
    return ", ".join(sorted(f"{f.__module__}.{f.__name__}" for f in functions))


_GRAD_OUTPUT = inspect.Parameter("grad_output", inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _signed(function: Callable[..., Any], parameters: Iterable[Any], returns: str) -> None:
    """Let a function show these parameters."""
    signature = inspect.Signature(tuple(parameters), return_annotation=returns)
    function.__signature__ = signature  # type: ignore[attr-defined]
