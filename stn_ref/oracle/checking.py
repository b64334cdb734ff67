"""`check`: throw families of cases at somebody's sampler, and report in units of the bound.

What is wrong is cut down to one image, one channel and one point where that is still wrong, and
printed as code to paste, with the trace of that pixel through the equations. Cases are drawn in our
terms and put into those of the dialect.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from stn_ref.equations import TRANSLATION
from stn_ref.equations.arguments import Array
from stn_ref.equations.lattice import centre, half_extent
from stn_ref.oracle import torch
from stn_ref.oracle.bounds import Expected
from stn_ref.oracle.dialect import Sampler, expected, gradient_of, sampler_of
from stn_ref.oracle.families import FAMILIES, Case, cases, ramp
from stn_ref.oracle.sampling import Sampling
from stn_ref.tracing import trace

MANY = 1e6  # bounds; by how many more than that it is wrong says nothing


class Failure(NamedTuple):
    """What differs, by how many bounds, and for which input."""

    family: str
    what: str
    units: float
    case: Case
    dtype: str
    message: str


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


class Row(NamedTuple):
    """A family in a dtype: cases run, cases wrong, the worst error in units of the bound."""

    family: str
    dtype: str
    drawn: int
    wrong: int
    worst: float


class Report(NamedTuple):
    """What `check` found; print it."""

    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    like: str
    paste: str

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.failures

    def raise_if_failed(self) -> None:
        """AssertionError with the report if anything was wrong."""
        if self.failures:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        lines = [f"{'family':15} {'dtype':8} cases wrong  worst error / bound"]
        for row in self.rows:
            worst = f"{row.worst:9.3g}" if row.worst < MANY else f"   > {MANY:.0e}"
            lines.append(f"{row.family:15} {row.dtype:8} {row.drawn:5} {row.wrong:5}  {worst}")
        if self.failures:
            kinds = dict.fromkeys(f"{f.family}: {f.what}: {f.message}" for f in self.failures)
            lines += ["", *list(kinds)[:8], "", self.paste]
        else:
            lines += ["", f"nothing differs from {self.like} by more than the bound"]
        return "\n".join(lines)


def check(
    candidate: Callable[..., Any],
    like: Callable[..., Any] = torch.grid_sample,
    *,
    backward: Callable[..., Any] | None = None,
    dtypes: Sequence[str] = ("float32",),
    rng: np.random.Generator,
) -> Report:
    """Compare a sampler with a dialect's, value and gradient, wherever samplers go wrong.

    candidate  f(images, points) → output, on NumPy arrays: as `like`, with options of its own
    like       the dialect's function it should equal, options bound by `functools.partial`
    backward   f(grad_output, images, points) → (grad_images, grad_points), if it has one
    dtypes     of the images and points
    rng        draws the cases
    Returns a Report: `.ok`, `str()`, `.raise_if_failed()`. Non-finite points are compared in value
    only. Whatever the candidate raises is a failure like any other.
    Raises TypeError if `like` is no sampler of a dialect, or lacks an option that has no default.
    """
    function: Any = like.func if isinstance(like, partial) else like
    known = sampler_of(function)
    options = _options(function, like)
    trial = Trial(candidate, backward, function, known, options, rng)
    rows, failures = [], []
    for dtype in dtypes:
        for family in FAMILIES:
            found: list[Failure] = []
            drawn, wrong, worst = 0, 0, 0.0
            for case in cases(family, rng, known.axes):
                new, units = _compare(trial, family, case, dtype)
                drawn, wrong, worst = drawn + 1, wrong + bool(new), max(worst, units)
                found += new
            rows.append(Row(family, str(dtype), drawn, wrong, worst))
            failures += found
    paste = ""
    if failures:
        smallest = min(failures, key=lambda f: (f.case.U.size + f.case.xy.size, f.what))
        paste = _paste(_cut(smallest, trial), trial)
    name = f"{function.__module__.removeprefix('stn_ref.')}.{function.__name__}"
    return Report(tuple(rows), tuple(failures), name, paste)


def _options(function: Any, like: Any) -> dict[str, Any]:
    """Every option of the calls: what is bound to `like`, else the function's default."""
    bound = like.keywords if isinstance(like, partial) else {}
    options = {}
    for name, parameter in inspect.signature(function).parameters.items():
        value = bound.get(name, parameter.default)
        if value is not parameter.empty:
            options[name] = value
    return options


def _compare(trial: Trial, family: str, case: Case, dtype: str) -> tuple[list[Failure], float]:
    """What is wrong with one case, and its worst error in units of the bound."""
    arrays = trial.arrays(case, family, dtype)
    truth = expected(trial.function, *arrays, **trial.options)
    failures, worst = [], 0.0
    tasks: list[tuple[Sequence[str], Callable[[], Any], Sequence[Expected]]] = [
        (("value",), lambda: (trial.candidate(*arrays),), (truth,))
    ]
    # where a point is not finite a gradient is nobody's promise, and crashes torch
    if trial.backward is not None and all(np.isfinite(a).all() for a in arrays):
        back, loss = trial.backward, trial.rng.uniform(-1, 1, truth.value.shape)
        loss = loss.astype(dtype)
        truths = expected(gradient_of(trial.function), loss, *arrays, **trial.options)
        gradients = [f"grad_{name}" for name in trial.names(len(arrays))]
        tasks.append((gradients, lambda: back(loss, *arrays), truths))
    for names, run, truths in tasks:
        try:
            results = run()
        except Exception as error:  # whatever it is, it is the candidate's
            message = f"raises {type(error).__name__}: {str(error)[:90]}"
            failures.append(Failure(family, names[0], np.inf, case, dtype, message))
            worst = np.inf
            continue
        for name, result, true in zip(names, results, truths, strict=True):
            units, message = difference(np.asarray(result), true)
            worst = max(worst, units)
            if message:
                failures.append(Failure(family, name, units, case, dtype, message))
    return failures, worst


def difference(found: Array, true: Expected) -> tuple[float, str]:
    """The worst error in units of the bound, and what to say of it if it is more than 1."""
    if found.shape != true.value.shape:
        return np.inf, f"has shape {found.shape}, expected {true.value.shape}"
    found, lost = found.astype(np.float64), np.isnan(true.value)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.where(lost, np.where(np.isnan(found), 0.0, np.inf), abs(found - true.value))
        off = np.where(np.isnan(off), np.inf, off)
        units = np.where(off == 0, 0.0, off / np.maximum(true.bound, np.finfo(float).tiny))
    if not units.size or units.max() <= 1:
        return float(units.max(initial=0.0)), ""
    at = np.unravel_index(np.argmax(units), units.shape)
    place = ", ".join(str(int(i)) for i in at)
    return float(units[at]), (
        f"[{place}] is {found[at]:.9g}, expected {true.value[at]:.9g} ± {true.bound[at]:.2g}"
    )


def _cut(failure: Failure, trial: Trial) -> Failure:
    """The same failure with one image, one channel and one point, if it is still one."""
    U, xy = failure.case
    for b, i, j in np.ndindex(*xy.shape[:3]):
        for c in range(U.shape[3]):
            one = Case(U[b : b + 1, ..., c : c + 1], xy[b : b + 1, i : i + 1, j : j + 1])
            found, _ = _compare(trial, failure.family, one, failure.dtype)
            for new in found:
                if new.what == failure.what:
                    return new
    return failure


def _paste(failure: Failure, trial: Trial) -> str:
    """Code that makes the input, says what was found, and traces the pixel if it is one."""
    arrays = trial.arrays(failure.case, failure.family, failure.dtype)
    names, function = trial.names(len(arrays)), trial.function
    module = function.__module__.rpartition(".")[2]
    options = [f"{name}={value!r}" for name, value in trial.options.items()]
    lines = [
        "the smallest of them:",
        "",
        "import numpy as np",
        "from numpy import inf, nan",
        f"from stn_ref.oracle import expected, {module}",
        *(f"{name} = {_literal(array)}" for name, array in zip(names, arrays, strict=True)),
        f"expected({module}.{function.__name__}, {', '.join([*names, *options])})",
        f"# {failure.what} {failure.message}",
    ]
    if failure.case.xy.size == 2 and failure.case.U.size and np.isfinite(arrays[1]).all():
        lines += ["", *_traced(trial.known.translate(*arrays, **trial.options))]
    return "\n".join(lines)


def _traced(s: Sampling) -> list[str]:
    """The pixel through the equations, from where the padding has moved its source point to."""
    (xy, _), (H, W) = s.moved(s.p), s.U.shape[1:3]
    half = np.array([half_extent(W, False), half_extent(H, False)])
    theta = (xy[0, 0, 0] - [centre(W), centre(H)]) / half
    found = trace(
        s.U,
        theta[None],
        at=(0, 0, 0),
        size=(1, 1),
        transformation=TRANSLATION,
        kernel=s.kernel,
        padding=s.padding,
        fill=s.fill,
        align_corners=False,
    )
    return str(found).splitlines()


def _literal(array: Array) -> str:
    """NumPy code for an array."""
    if array.size > 200 and np.array_equal(array, ramp(array.shape).astype(array.dtype)):
        values = f"(np.arange({array.size}) / {array.size})"
        return f"{values}.reshape{array.shape}.astype(np.{array.dtype})"
    return f"np.array({array.tolist()}, np.{array.dtype}).reshape{array.shape}"
