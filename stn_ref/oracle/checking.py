"""`check`: throw families of cases at somebody's sampler, and report in units of the bound.

What is wrong is cut down to one image, one channel and one point where that is still wrong, and
printed as code to paste, with the trace of that pixel through the equations.
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
from stn_ref.oracle.bounds import Expected, backward_of, expected, known
from stn_ref.oracle.families import FAMILIES, Case, cases, pattern
from stn_ref.tracing import trace

MANY = 1e6  # bounds; by how many more than that it is wrong says nothing


class Failure(NamedTuple):
    """What differs, by how many bounds, and for which input."""

    family: str
    what: str
    units: float
    case: Case
    message: str


class Trial(NamedTuple):
    """Who is compared with what: a dialect's function and all options of its calls."""

    candidate: Callable[..., Any]
    backward: Callable[..., Any] | None
    function: Callable[..., Any]
    options: dict[str, Any]
    rng: np.random.Generator


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

    candidate  f(images, grid) → output, on NumPy arrays
    like       the `grid_sample` it should equal, options bound by `functools.partial`
    backward   f(grad_output, images, grid) → (grad_images, grad_grid), if it has one
    dtypes     of the images and grids
    rng        draws the cases
    Returns a Report: `.ok`, `str()`, `.raise_if_failed()`. Non-finite points are compared in value
    only. Whatever the candidate raises is a failure like any other.
    Raises TypeError if `like` is no `grid_sample` of a dialect.
    """
    function: Any = like.func if isinstance(like, partial) else like
    known(function)
    parameters = inspect.signature(function).parameters
    if "grid" not in parameters:
        raise TypeError(f"like is {function.__name__}; expected a grid_sample of a dialect")
    options = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    options |= like.keywords if isinstance(like, partial) else {}
    trial = Trial(candidate, backward, function, options, rng)
    rows, failures = [], []
    for dtype in dtypes:
        for family in FAMILIES:
            found: list[Failure] = []
            drawn, wrong, worst = 0, 0, 0.0
            for case in cases(family, rng, dtype, bool(options.get("align_corners"))):
                new, units = _compare(trial, family, case)
                drawn, wrong, worst = drawn + 1, wrong + bool(new), max(worst, units)
                found += new
            rows.append(Row(family, str(dtype), drawn, wrong, worst))
            failures += found
    paste = ""
    if failures:
        smallest = min(failures, key=lambda f: (f.case.images.size + f.case.grid.size, f.what))
        paste = _paste(_cut(smallest, trial), trial)
    name = f"{function.__module__.removeprefix('stn_ref.')}.{function.__name__}"
    return Report(tuple(rows), tuple(failures), name, paste)


def _compare(trial: Trial, family: str, case: Case) -> tuple[list[Failure], float]:
    """What is wrong with one case, and its worst error in units of the bound."""
    truth = expected(trial.function, *case, **trial.options)
    failures, worst = [], 0.0
    tasks: list[tuple[Sequence[str], Callable[[], Any], Sequence[Expected]]] = [
        (("value",), lambda: (trial.candidate(*case),), (truth,))
    ]
    # where a point is not finite a gradient is nobody's promise, and crashes torch
    if trial.backward is not None and np.isfinite(case.grid).all():
        back, loss = trial.backward, trial.rng.uniform(-1, 1, truth.value.shape)
        loss = loss.astype(case.images.dtype)
        truths = expected(backward_of(trial.function), loss, *case, **trial.options)
        tasks.append((("grad_images", "grad_grid"), lambda: back(loss, *case), truths))
    for names, run, truths in tasks:
        try:
            results = run()
        except Exception as error:  # whatever it is, it is the candidate's
            message = f"raises {type(error).__name__}: {str(error)[:90]}"
            failures.append(Failure(family, names[0], np.inf, case, message))
            worst = np.inf
            continue
        for name, result, true in zip(names, results, truths, strict=True):
            units, message = _difference(np.asarray(result), true)
            worst = max(worst, units)
            if message:
                failures.append(Failure(family, name, units, case, message))
    return failures, worst


def _difference(found: Array, true: Expected) -> tuple[float, str]:
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
    images, grid = failure.case
    for n, i, j in np.ndindex(*grid.shape[:3]):
        for c in range(images.shape[1]):
            one = Case(images[n : n + 1, c : c + 1], grid[n : n + 1, i : i + 1, j : j + 1])
            found, _ = _compare(trial, failure.family, one)
            for new in found:
                if new.what == failure.what:
                    return new
    return failure


def _paste(failure: Failure, trial: Trial) -> str:
    """Code that makes the input, says what was found, and traces the pixel if it is one."""
    function, (images, grid) = trial.function, failure.case
    module = function.__module__.rpartition(".")[2]
    given = ", ".join(f"{name}={value!r}" for name, value in trial.options.items())
    lines = [
        "the smallest of them:",
        "",
        "import numpy as np",
        "from numpy import inf, nan",
        f"from stn_ref.oracle import expected, {module}",
        f"images = {_literal(images)}",
        f"grid = {_literal(grid)}",
        f"expected({module}.{function.__name__}, images, grid, {given})",
        f"# {failure.what} {failure.message}",
    ]
    if grid.size == 2 and images.size and np.isfinite(grid).all():
        lines += ["", *_traced(failure.case, trial)]
    return "\n".join(lines)


def _traced(case: Case, trial: Trial) -> list[str]:
    """The pixel through the equations, from where the padding has moved its source point to."""
    s = known(trial.function).translation(*case, **trial.options)
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
        align_corners=False,
    )
    return str(found).splitlines()


def _literal(array: Array) -> str:
    """NumPy code for an array."""
    if array.size > 200 and np.array_equal(array, pattern(array.shape).astype(array.dtype)):
        return f"np.sin(np.arange({array.size})).reshape{array.shape}.astype(np.{array.dtype})"
    return f"np.array({array.tolist()}, np.{array.dtype}).reshape{array.shape}"
