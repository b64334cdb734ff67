"""The main job: prove the gradients, then draw section 3 of the paper on real digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import stn_ref
from stn_ref import equations as eq
from stn_ref.cases import MESH
from stn_ref.checks import all_checks
from stn_ref.data import digits
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.localisation import Layer
from stn_ref.progress import progress

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


def every_transformation() -> list[tuple[str, eq.Transformation, Array]]:
    """One example of each transformation there is."""
    mesh = eq.piecewise_affine(*MESH)
    corners_moved = MESH[0] + [[0.3, 0.2], [0, 0], [-0.2, 0.1], [0, 0], [0.2, 0.1]]
    spline, theta = a_spline()
    turned = eq.compose(eq.PROJECTIVE, eq.ROTATION)
    tilt = np.array([0.75, 0.1, 0, 0, 0.75, 0.05, 0.1, 0.3])
    return [
        ("Eq. 1  affine", eq.AFFINE, np.array([[0.9, 0.3, 0.1], [-0.1, 0.7, 0]])),
        ("Eq. 2  attention", eq.ATTENTION, np.array([0.6, 0.1, -0.1])),
        ("§3.2  translation", eq.TRANSLATION, np.array([0.2, 0.1])),
        ("§3.2  rotation", eq.ROTATION, np.array([-0.5])),
        ("§3.2  similarity", eq.SIMILARITY, np.array([0.7, 0.3, 0, 0])),
        ("§3.2  projective", eq.PROJECTIVE, tilt),
        ("§3.2  piecewise affine", mesh, corners_moved),
        ("§3.2  thin plate spline", spline, theta),
        ("projective ∘ rotation", turned, np.append(tilt, -0.4)),
        ("spline ∘ rotation", eq.compose(spline, eq.ROTATION), np.append(0.8 * theta, -0.4)),
    ]


def a_spline() -> tuple[eq.Linear, Array]:
    """The 4 × 4 thin plate spline, and a θ (16, 2) that bends it."""
    spline = eq.thin_plate_spline()
    bend = np.random.default_rng(4).normal(0, 0.12, (16, 2))
    return spline, spline.identity() + bend


def a_part_from_afar() -> tuple[Array, Array, Size]:
    """A part of a digit whose strokes run into its edges, a θ that sees it from afar, a size."""
    part = 0.25 + 0.75 * a_digit()[8:18, 7:17]
    return part, np.array([[2.0, -0.8, 0.1], [0.8, 2.0, 0.0]]), (100, 100)


def kernel_groups() -> list[tuple[str, list[eq.Kernel]]]:
    """A title and the kernels that are drawn together under it."""
    return [
        ("Eq. 4  integer", [eq.INTEGER]),
        ("Eq. 5  bilinear", [eq.BILINEAR]),
        ("§3.3  keys(a)", [eq.keys(-0.75), eq.keys(-0.5), eq.keys(-0.25)]),
        ("§3.3  hat(width)", [eq.hat(1), eq.hat(1.5), eq.hat(2)]),
        ("§3.3  gaussian(σ)", [eq.gaussian(0.4), eq.gaussian(0.7), eq.gaussian(1)]),
        ("§3.3  lanczos(3)", [eq.lanczos()]),
        ("§3.3  bspline(order)", [eq.bspline(2), eq.bspline(3)]),
        ("§3.3  normalised(hat)", [eq.normalised(eq.hat(w)) for w in (0.75, 1.5)]),
    ]


def a_crop() -> tuple[Array, Size]:
    """A θ (1, 2, 3) that turns and crops, and the size of the output."""
    return np.array([[[0.53, -0.29, 0.1], [0.29, 0.53, -0.1]]]), (20, 20)


def layers_for(theta: Array) -> list[Layer]:
    """An f_loc for digits, untrained but for a bias that makes it answer θ whatever it sees."""
    return eq.initial_layers(np.random.default_rng(SEED), 28 * 28, (32, 32), theta)


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
    from stn_ref import diagrams, galleries, plots

    U, (theta, size) = a_digit(), a_crop()
    V = stn_ref.transform(U[None], theta, size=size)[0]
    traced = stn_ref.trace(U[None], theta, at=(0, 6, 11), size=size)
    print(f"\n{traced}\n")
    spline, spline_theta = a_spline()
    figures: dict[str, Callable[[], Figure]] = {
        "module": lambda: diagrams.module(U, layers_for(theta[0]), size),
        "warped_grids": lambda: galleries.warped_grids(U, examples()),
        "every_transformation": lambda: galleries.warped_grids(U, every_transformation()),
        "spline": lambda: diagrams.spline(U, spline_theta, spline),
        "kernels": lambda: galleries.kernels(kernel_groups()),
        "paddings": lambda: galleries.paddings(*a_part_from_afar()),
        "shrinking": galleries.shrinking,
        "trace": lambda: diagrams.trace(traced, U, V),
        "knot": lambda: diagrams.knot(U),
    }
    for name, figure in progress(list(figures.items()), "drawing"):
        print(plots.save(figure(), out / f"{name}.png", dpi=dpi))


def writable_directory(out: Path) -> None:
    """Make the directory; an OSError says which one cannot be written and why."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".stn_ref"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"cannot write figures to {out}: {error.strerror or error}") from error
