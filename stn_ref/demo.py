"""The main job: prove the gradients, then draw section 3 of the paper on real digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import stn_ref
from stn_ref import equations as eq
from stn_ref.checks import all_checks
from stn_ref.data import digits
from stn_ref.equations.arguments import Array
from stn_ref.progress import progress

SEED = 2015


def print_checks() -> bool:
    """The gradient table, a line a check; returns whether all are within the tolerance."""
    reports = []
    for name, check in progress(list(all_checks()), "checking"):
        report = check(np.random.default_rng(SEED))
        reports.append(report)
        print(f"{name:<56} {report.error:8.1e}  {'ok' if report.ok else 'WRONG'}")
        if not report.ok:
            print(report)
    wrong = sum(not report.ok for report in reports)
    print(f"{len(reports)} gradients against finite differences, {wrong} wrong", end=" ")
    print("(error relative to the sum of the absolute terms, at most 1e-7)")
    return wrong == 0


def a_digit(label: int = 2) -> Array:
    """The first test digit of a class, (28, 28, 1)."""
    test = digits()
    return np.asarray(test.x_test[np.argmax(test.y_test == label)])


def examples() -> list[tuple[str, eq.Transformation, Array]]:
    """A title, a transformation and a θ for each picture of warped grids."""
    cos, sin = np.cos(0.5), np.sin(0.5)
    affine = {
        "rotate": [[cos, -sin, 0], [sin, cos, 0]],
        "scale": [[1.3, 0, 0], [0, 0.7, 0]],
        "shear": [[1, 0.4, 0], [0, 1, 0]],
        "crop": [[0.6, 0, 0.1], [0, 0.6, -0.1]],
    }
    return [
        *((f"Eq. 1  {name}", eq.AFFINE, np.array(theta, float)) for name, theta in affine.items()),
        ("Eq. 2  attention", eq.ATTENTION, np.array([0.5, 0.2, -0.2])),
        ("§3.2  translation", eq.TRANSLATION, np.array([0.3, 0.2])),
        ("§3.2  rotation", eq.ROTATION, np.array([-0.6])),
        ("§3.2  similarity", eq.SIMILARITY, np.array([0.7, 0.3, 0, 0])),
    ]


def kernel_groups() -> list[tuple[str, list[eq.Kernel]]]:
    """A title and the kernels that are drawn together under it."""
    return [
        ("Eq. 4  integer", [eq.INTEGER]),
        ("Eq. 5  bilinear", [eq.BILINEAR]),
        ("§3.3  keys(a)", [eq.keys(-0.75), eq.keys(-0.5), eq.keys(-0.25)]),
        ("§3.3  hat(width)", [eq.hat(1), eq.hat(1.5), eq.hat(2)]),
    ]


def demo(out: Path, *, quick: bool = False) -> bool:
    """Print the table and write the figures, naming each; returns whether the table is clean.

    out    directory of the figures, made if it is missing
    quick  low resolution
    Raises OSError if the directory cannot be written.
    """
    mpl.use("agg")
    from stn_ref import diagrams, plots

    writable_directory(out)
    ok = print_checks()
    U = a_digit()
    theta, size = np.array([[0.53, -0.29, 0.1], [0.29, 0.53, -0.1]]), (20, 20)
    V = stn_ref.transform(U[None], theta[None], size=size)[0]
    traced = stn_ref.trace(U[None], theta[None], at=(0, 6, 11), size=size)
    print(f"\n{traced}\n")
    figures: dict[str, Callable[[], Figure]] = {
        "module": lambda: diagrams.module(U, theta, size, transformation=eq.AFFINE),
        "warped_grids": lambda: plots.warped_grids(U, examples()),
        "kernels": lambda: plots.kernels(kernel_groups()),
        "trace": lambda: diagrams.trace(traced, U, V),
        "knot": lambda: diagrams.knot(U),
    }
    for name, draw in progress(list(figures.items()), "drawing"):
        print(plots.save(draw(), out / f"{name}.png", dpi=50 if quick else 120))
    return ok


def writable_directory(out: Path) -> None:
    """Make the directory; an OSError says which one cannot be written and why."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".stn_ref"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"cannot write figures to {out}: {error.strerror or error}") from error
