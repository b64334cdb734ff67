"""What the pictures show: a digit, a θ of every transformation, kernels that belong together."""

from __future__ import annotations

import numpy as np

from stn_ref import equations as eq
from stn_ref.data import digits
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.localisation import Layer
from stn_ref.proofs.cases import MESH


def a_digit(label: int = 2) -> Array:
    """The first test digit of a class, (28, 28, 1)."""
    test = digits()
    return np.asarray(test.x_test[np.argmax(test.y_test == label)])


def affine_family() -> list[tuple[str, eq.Transformation, Array]]:
    """A title, a transformation and a θ, for each that is an affine map."""
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


def a_crop() -> tuple[Array, Size]:
    """A θ (1, 2, 3) that turns and crops, and the size of the output."""
    return np.array([[[0.53, -0.29, 0.1], [0.29, 0.53, -0.1]]]), (20, 20)


def layers_for(theta: Array) -> list[Layer]:
    """An f_loc for digits, untrained but for a bias that makes it answer θ whatever it sees."""
    return eq.initial_layers(np.random.default_rng(2015), 28 * 28, (32, 32), theta)


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
