"""The main job: trace a pixel, check the gradients, draw section 3 of the paper on real digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.plots import diagrams, examples, galleries
from stn_ref.plots.canvas import writable_directory
from stn_ref.progress import progress
from stn_ref.proofs.checks import all_checks
from stn_ref.proofs.gradcheck import Report

SEED = 2015


def print_checks(*, verbose: bool = False) -> bool:
    """The table of gradient checks, a row an equation; returns whether all are right.

    verbose  whether every check is printed, too; one that is wrong is printed anyway
    """
    reports: dict[tuple[str, str], list[Report]] = {}
    for name, check in progress(list(all_checks()), "checking"):
        report = check(np.random.default_rng(SEED))
        what, equation, *_ = name.split(" · ")
        reports.setdefault((equation, what.rpartition(".")[2]), []).append(report)
        if verbose or not report.ok:
            print(f"{name:<80} {report.error:8.1e}  {_verdict([report])}")
        if not report.ok:
            print(report)
    print(f"{'equation':<14} {'gradient of':<30} {'cases':>5}  worst error / bound")
    for (equation, what), found in reports.items():
        worst = np.max([report.error / report.tolerance for report in found])
        print(f"{equation:<14} {what:<30} {len(found):5}  {worst:.1e}  {_verdict(found)}")
    print(f"condition of the thin plate spline on 4 x 4 points: {eq.spline_condition():.0f}")
    every = [report for found in reports.values() for report in found]
    wrong = sum(not report.ok for report in every)
    print(f"{len(every)} checks against finite differences, {wrong} wrong", end=" ")
    print("(errors are relative to the sum of the absolute terms; their bound is 1e-7)")
    return wrong == 0


def _verdict(reports: list[Report]) -> str:
    return "ok" if all(report.ok for report in reports) else "WRONG"


def demo(out: Path, *, quick: bool = False, verbose: bool = False) -> bool:
    """Print a pixel's trace and the table, and write the figures, naming each.

    out      directory of the figures, made if it is missing
    quick    low resolution
    verbose  every check of the table
    Returns whether the table is clean.
    Raises OSError if the directory cannot be written.
    """
    writable_directory(out)
    print(f"{a_trace()}\n")
    ok = print_checks(verbose=verbose)
    draw(out, dpi=50 if quick else 120)
    return ok


def a_trace() -> Any:
    """One pixel of the module's figure, through all equations."""
    theta, size = examples.a_crop()
    return stn_ref.trace(examples.a_digit()[None], theta, at=(0, 6, 11), size=size)


def draw(out: Path, *, dpi: int = 120) -> None:
    """Write the figures, naming each."""
    U, (theta, size) = examples.a_digit(), examples.a_crop()
    V = stn_ref.transform(U[None], theta, size=size)[0]
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
        "trace": lambda: diagrams.trace(a_trace(), U, V),
        "knot": lambda: diagrams.knot(U),
    }
    for name, figure in progress(list(figures.items()), "drawing"):
        print(plots.save(figure(), out / f"{name}.png", dpi=dpi))
