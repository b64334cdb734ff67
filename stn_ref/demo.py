"""The main job: check the gradients, then draw section 3 of the paper on real digits."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import stn_ref
from stn_ref import plots
from stn_ref.plots import diagrams, examples, galleries
from stn_ref.plots.canvas import writable_directory
from stn_ref.progress import progress
from stn_ref.proofs.checks import all_checks

SEED = 2015


KIND = re.compile(r"^.*?(\.grid|\.matrix|, dB)\b(.*)$")  # of a transformation, whichever it is
OF_ANY = {".grid": "T_θ(G)", ".matrix": "T_θ as a matrix", ", dB": "a basis"}


def print_checks(*, verbose: bool = False) -> bool:
    """A line for each equation, or each check; returns whether all are within the tolerance."""
    worst: dict[tuple[str, str], list[float]] = {}
    wrong = 0
    for name, check in progress(list(all_checks()), "checking"):
        report = check(np.random.default_rng(SEED))
        worst.setdefault(equation_of(name), []).append(report.error)
        wrong += not report.ok
        if verbose:
            print(f"{name:<80} {report.error:8.1e}  {'ok' if report.ok else 'WRONG'}")
        if not report.ok:
            print(f"WRONG: {name}\n{report}")
    for (citation, what), errors in worst.items():
        print(f"{citation:<13} {what:<30} {len(errors):3} checks   error {max(errors):8.1e}")
    count = sum(map(len, worst.values()))
    print(f"{count} checks against finite differences, {wrong} wrong", end=" ")
    print("(errors are relative to the sum of the absolute terms and may be 1e-7)")
    return wrong == 0


def equation_of(name: str) -> tuple[str, str]:
    """The citation in a check's name, and what it is a check of."""
    what, citation, *_ = name.split(" · ")
    if kind := KIND.match(what):
        what = OF_ANY[kind[1]] + kind[2]
    return citation, what


def demo(out: Path, *, quick: bool = False, verbose: bool = False) -> bool:
    """Print a trace, the checks and the figures' names; returns whether all checks are clean.

    out      directory of the figures, made if it is missing
    quick    low resolution
    verbose  a line for each check
    Raises OSError if the directory cannot be written.
    """
    writable_directory(out)
    U, (theta, size) = examples.a_digit(), examples.a_crop()
    traced = stn_ref.trace(U[None], theta, at=(0, 6, 11), size=size)
    print(f"One pixel of a digit through the equations:\n\n{traced}\n")
    print("The gradients against finite differences:\n")
    ok = print_checks(verbose=verbose)
    print("\nThe equations in pictures:\n")
    draw(out, dpi=50 if quick else 120)
    return ok


def draw(out: Path, *, dpi: int = 120) -> None:
    """Write the figures, naming each."""
    U, (theta, size) = examples.a_digit(), examples.a_crop()
    V = stn_ref.transform(U[None], theta, size=size)[0]
    traced = stn_ref.trace(U[None], theta, at=(0, 6, 11), size=size)
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
