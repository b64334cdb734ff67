"""The main job: check the gradients, then draw section 3 of the paper on real digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import stn_ref
from stn_ref import equations as eq
from stn_ref.plots.canvas import writable_directory
from stn_ref.progress import progress
from stn_ref.proofs.checks import all_checks

SEED = 2015


def print_checks() -> bool:
    """The table of gradient checks; returns whether all are within the tolerance."""
    reports = []
    print(f"{'gradient':<80} {'error':>8}")
    for name, check in progress(list(all_checks()), "checking"):
        report = check(np.random.default_rng(SEED))
        reports.append(report)
        print(f"{name:<80} {report.error:8.1e}  {'ok' if report.ok else 'WRONG'}")
        if not report.ok:
            print(report)
    print(f"condition of the thin plate spline on 4 x 4 points: {eq.spline_condition():.0f}")
    wrong = sum(not report.ok for report in reports)
    print(f"{len(reports)} checks against finite differences, {wrong} wrong", end=" ")
    print("(errors are relative to the sum of the absolute terms and may be 1e-7)")
    return wrong == 0


def demo(out: Path, *, quick: bool = False) -> bool:
    """Print the table and write the figures, naming each; returns whether the table is clean.

    out    directory of the figures, made if it is missing
    quick  low resolution
    Raises OSError if the directory cannot be written.
    """
    writable_directory(out)
    ok = print_checks()
    draw(out, dpi=50 if quick else 120)
    return ok


def draw(out: Path, *, dpi: int = 120) -> None:
    """Print one pixel's trace, and write the figures."""
    from stn_ref import plots
    from stn_ref.plots import diagrams, examples, galleries

    U, (theta, size) = examples.a_digit(), examples.a_crop()
    V = stn_ref.transform(U[None], theta, size=size)[0]
    traced = stn_ref.trace(U[None], theta, at=(0, 6, 11), size=size)
    print(f"\n{traced}\n")
    spline, spline_theta = examples.a_spline()
    figures: dict[str, Callable[[], Figure]] = {
        "module": lambda: diagrams.module(U, examples.layers_for(theta[0]), size),
        "warped_grids": lambda: galleries.warped_grids(U, examples.affine_family()),
        "every_transformation": lambda: galleries.warped_grids(
            U, examples.every_transformation(), examples.MESH[1]
        ),
        "spline": lambda: diagrams.spline(U, spline_theta, spline),
        "kernels": lambda: galleries.kernels(examples.kernel_groups()),
        "paddings": lambda: galleries.paddings(*examples.a_part_from_afar()),
        "shrinking": galleries.shrinking,
        "trace": lambda: diagrams.trace(traced, U, V),
        "knot": lambda: diagrams.knot(U),
    }
    for name, figure in progress(list(figures.items()), "drawing"):
        print(plots.save(figure(), out / f"{name}.png", dpi=dpi))
