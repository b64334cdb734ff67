"""`check`: throw families of cases at somebody's sampler, and report in units of the bound.

What is wrong is cut down to one image, one channel and one point where that is still wrong, and
printed as code to paste, with the trace of that pixel through the equations. Cases are drawn in our
terms and put into those of the dialect.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array, generator, number_of_axes
from stn_ref.oracle import torch
from stn_ref.oracle.bounds import Expected
from stn_ref.oracle.dialect import Sampler, expected, gradient_of, sampler_of
from stn_ref.oracle.families import FAMILIES, Case, cases, ramp
from stn_ref.oracle.pixel import one_pixel
from stn_ref.oracle.report import Failure, Report, Row

MANY_VALUES = 10000  # too many to paste


class Trial(NamedTuple):
    """Who is compared with what: a dialect's function and all options of its calls."""

    candidate: Callable[..., Any]
    backward: Callable[..., Any] | None
    function: Callable[..., Any]
    known: Sampler
    options: dict[str, Any]
    rng: np.random.Generator

    def arrays(self, case: Case, family: str, dtype: str) -> tuple[Array, ...]:
        """The case as the function's first arguments."""
        with np.errstate(over="ignore"):
            found = self.known.arrange(*case, self.options)
            images, *points = (np.ascontiguousarray(a, dtype) for a in found)
        if family == "not contiguous":
            return np.asfortranarray(images), *(
                np.repeat(a, 2, axis=-2)[..., ::2, :] for a in points
            )
        return images, *points

    def names(self, count: int) -> list[str]:
        """Of the function's first arguments."""
        return list(inspect.signature(self.function).parameters)[:count]


def check(
    candidate: Callable[..., Any],
    like: Callable[..., Any] = torch.grid_sample,
    *,
    backward: Callable[..., Any] | None = None,
    dtypes: Sequence[str] = ("float32",),
    axes: int = 2,
    rng: np.random.Generator,
) -> Report:
    """Compare a sampler with a dialect's, value and gradient, wherever samplers go wrong.

    candidate  f(images, points) → output, on NumPy arrays: as `like`, with options of its own
    like       the dialect's function it should equal, options bound by `functools.partial`
    backward   f(grad_output, images, points) → (grad_images, grad_points), if it has one
    dtypes     of the images and points, one or several
    axes       2 for images, 3 for volumes, 1 for signals, as far as `like` takes them
    rng        draws the cases
    Returns a Report: `.ok`, `str()`, `.raise_if_failed()`. Non-finite points are compared in value
    only. Whatever the candidate raises is a failure like any other, and so are another shape or
    dtype and arguments that it changes.
    Raises TypeError if `like` is no sampler of a dialect, has an option that its function has not,
    or lacks one that has no default, or if rng is none; ValueError if it does not sample along so
    many axes.

    >>> from stn_ref.oracle import check, torch
    >>> found = check(
    ...     lambda images, grid: torch.grid_sample(images, grid, align_corners=True),
    ...     like=torch.grid_sample,  # whose corners are not aligned
    ...     rng=np.random.default_rng(0),
    ... )
    >>> found.ok
    False
    """
    function: Any = like.func if isinstance(like, partial) else like
    known = sampler_of(function, number_of_axes(axes))
    options = _options(function, like)
    trial = Trial(candidate, backward, function, known, options, generator(rng))
    rows, failures = [], []
    for dtype in (np.dtype(d).name for d in np.atleast_1d(np.asarray(dtypes, object))):
        for family in FAMILIES:
            found: list[Failure] = []
            drawn, wrong, worst = 0, 0, 0.0
            for case in cases(family, rng, known.kept, axes):
                new, units = _compare(trial, family, case, dtype)
                drawn, wrong, worst = drawn + 1, wrong + bool(new), max(worst, units)
                found += new
            rows.append(Row(family, dtype, drawn, wrong, worst))
            failures += found
    paste = ""
    if failures:
        empty = 1 << 40  # shows least
        smallest = min(failures, key=lambda f: (f.case.U.size + f.case.xy.size or empty, f.what))
        paste = _paste(_cut(smallest, trial), trial)
    name = f"{function.__module__.removeprefix('stn_ref.')}.{function.__name__}"
    return Report(tuple(rows), tuple(failures), name, paste)


def _options(function: Any, like: Any) -> dict[str, Any]:
    """Every option of the calls: what is bound to `like`, else the function's default."""
    signature = inspect.signature(function)
    bound: dict[str, Any] = like.keywords if isinstance(like, partial) else {}
    if isinstance(like, partial) and like.args:
        raise TypeError(f"like has {like.args!r} bound by position; expected options, by name")
    signature.bind_partial(**bound)
    options = {}
    for name, parameter in signature.parameters.items():
        value = bound.get(name, parameter.default)
        if value is not parameter.empty:
            options[name] = value
    return options


def _compare(trial: Trial, family: str, case: Case, dtype: str) -> tuple[list[Failure], float]:
    """What is wrong with one case, and its worst error in units of the bound."""
    arrays = trial.arrays(case, family, dtype)
    truth = expected(trial.function, *arrays, **trial.options)
    tasks: list[tuple[Sequence[str], Callable[..., Any], tuple[Array, ...], Sequence[Expected]]] = [
        (("value",), lambda *given: (trial.candidate(*given),), arrays, (truth,))
    ]
    # where a point is not finite a gradient is nobody's promise, and crashes torch
    if trial.backward is not None and all(np.isfinite(a).all() for a in arrays):
        loss = trial.rng.uniform(-1, 1, truth.value.shape).astype(dtype)
        if family == "not contiguous":
            loss = np.repeat(loss, 2, axis=-1)[..., ::2]
        truths = expected(gradient_of(trial.function), loss, *arrays, **trial.options)
        gradients = [f"grad_{name}" for name in trial.names(len(arrays))]
        tasks.append((gradients, trial.backward, (loss, *arrays), truths))
    failures, worst = [], 0.0
    for names, run, arguments, truths in tasks:
        loss_of = arguments[0] if run is trial.backward else None
        for name, units, message in _tried(names, run, arguments, truths, np.dtype(dtype)):
            worst = max(worst, units)
            if message:
                failures.append(Failure(family, name, units, case, dtype, message, loss_of))
    return failures, worst


def _tried(
    names: Sequence[str],
    run: Callable[..., Any],
    arguments: tuple[Array, ...],
    truths: Sequence[Expected],
    dtype: np.dtype[Any],
) -> Iterator[tuple[str, float, str]]:
    """The name of each result, its error in units of the bound, and what is wrong if it is."""
    before = [a.copy() for a in arguments]
    try:
        results = [np.asarray(result) for result in run(*arguments)]
    except Exception as error:  # whatever it is, it is the candidate's
        yield names[0], np.inf, f"raises {type(error).__name__}: {str(error)[:90]}"
        return
    if not all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(arguments, before, strict=True)
    ):
        yield names[0], np.inf, "comes with its arguments changed"
        for a, b in zip(arguments, before, strict=True):
            a[...] = b
    if len(results) != len(truths):
        yield names[0], np.inf, f"is {len(results)} arrays, expected {len(truths)}"
        return
    for name, result, true in zip(names, results, truths, strict=True):
        if result.dtype != dtype:
            yield name, np.inf, f"has dtype {result.dtype}, expected {dtype}"
        else:
            yield name, *difference(result, true)


def difference(found: Array, true: Expected) -> tuple[float, str]:
    """The worst error in units of the bound, and what to say of it if it is more than 1."""
    if found.shape != true.value.shape:
        return np.inf, f"has shape {found.shape}, expected {true.value.shape}"
    found, lost = found.astype(np.float64), np.isnan(true.value)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.where(lost, np.where(np.isnan(found), 0.0, np.inf), abs(found - true.value))
        off = np.where(np.isnan(off), np.inf, off)
        units = np.where(off == 0, 0.0, off / np.where(true.bound > 0, true.bound, 1e-300))
        units = np.where(np.isinf(true.bound), 0.0, units)  # anything may come
    if not units.size or units.max() <= 1:
        return float(units.max(initial=0.0)), ""
    at = np.unravel_index(np.argmax(units), units.shape)
    place = ", ".join(str(int(i)) for i in at)
    return float(units[at]), (
        f"[{place}] is {found[at]:.9g}, expected {true.value[at]:.9g} ± {true.bound[at]:.2g}"
    )


def _cut(failure: Failure, trial: Trial) -> Failure:
    """The same failure, halved again and again while it is still one: mostly down to one point."""
    while True:
        for case in _halves(failure.case):
            found, _ = _compare(trial, failure.family, case, failure.dtype)
            same = [new for new in found if new.what == failure.what]
            if same:
                failure = same[0]
                break
        else:
            return failure


def _halves(case: Case) -> Iterator[Case]:
    """Either half of the images, of the outputs along each axis, of the channels."""
    U, xy = case
    for axis in range(xy.ndim - 1):
        for half in _two(xy.shape[axis]):
            yield Case(U if axis else U[half], xy[(*[slice(None)] * axis, half)])
    for half in _two(U.shape[-1]):
        yield Case(U[..., half], xy)


def _two(length: int) -> tuple[slice, ...]:
    """The first half and the second, if there are two."""
    half = length // 2
    return (slice(half), slice(half, None)) if half else ()


def _paste(failure: Failure, trial: Trial) -> str:
    """Code that makes the input, says what was found, and traces the pixel if it is one."""
    arrays = trial.arrays(failure.case, failure.family, failure.dtype)
    names, function = trial.names(len(arrays)), trial.function
    module, name = function.__module__.rpartition(".")[2], function.__name__
    if failure.loss is not None:
        names, name = ["grad_output", *names], f"{name}_backward"
        arrays = failure.loss, *arrays
    options = [f"{option}={value!r}" for option, value in trial.options.items()]
    lines = [
        "the smallest of them:",
        "",
        "import numpy as np",
        "from numpy import inf, nan",
        f"from stn_ref.oracle import expected, {module}",
        *(f"{n} = {_literal(array)}" for n, array in zip(names, arrays, strict=True)),
        f"expected({module}.{name}, {', '.join([*names, *options])})",
        f"# {failure.what} {failure.message}",
    ]
    U, xy = failure.case
    if xy.size == xy.shape[-1] and U.size and np.isfinite(arrays[-1]).all():
        given = arrays if failure.loss is None else arrays[1:]
        lines += ["", *one_pixel(trial.known.translate(*given, **trial.options))]
    return "\n".join(lines)


def _literal(array: Array) -> str:
    """NumPy code for an array."""
    if array.size > MANY_VALUES:
        length = array[0].size
        start = round(float(array.flat[0]) * length)
        values = ramp(start, start + array.size, length).reshape(array.shape).astype(array.dtype)
        if np.array_equal(array, values):
            made = f"(np.arange({start}, {start + array.size}) / {length})"
            return f"{made}.reshape{array.shape}.astype(np.{array.dtype})"
    return f"np.array({array.tolist()}, np.{array.dtype}).reshape{array.shape}"
