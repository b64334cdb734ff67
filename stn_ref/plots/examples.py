"""What the pictures show: a digit, a θ of every transformation, kernels that belong together."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stn_ref import equations as eq
from stn_ref import transform
from stn_ref.data import digits
from stn_ref.data.distortions import CORNERS, four_points
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.localisation import Layer
from stn_ref.proofs.cases import MESH as MESH


def a_digit(label: int = 2) -> Array:
    """The first test digit of a class, (28, 28, 1)."""
    test = digits()
    return np.asarray(test.x_test[np.argmax(test.y_test == label)])


def affine_family() -> list[tuple[str, eq.Transformation, Array]]:
    """A title, a transformation and a θ, for each that is an affine map."""
    cos, sin = np.cos(0.5), np.sin(0.5)
    affine = {
        "stretch": [[1.3, 0, 0], [0, 0.7, 0]],
        "shear": [[1, 0.4, 0], [0, 1, 0]],
        "mirror": [[-0.9, 0, 0], [0, 0.9, 0]],
        "all at once": [[0.6 * cos, -sin, 0.1], [0.6 * sin, cos, -0.1]],
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


def a_page() -> Array:
    """A page of print, white, upright, (1000, 707, 3)."""
    figure = Figure(figsize=(7.07, 10), dpi=100)
    say = partial(figure.text, ha="center", family="serif")
    say(0.5, 0.9, "Spatial Transformer Networks", size=30)
    say(0.5, 0.84, "a page to be put straight", size=20, style="italic")
    lines = [
        "A module that looks at a feature map,",
        "decides how to warp it, and warps it.",
        "Every output pixel asks where in the",
        "input it comes from:",
    ]
    for k, line in enumerate(lines):
        say(0.5, 0.74 - 0.05 * k, line, size=22)
    say(0.5, 0.49, r"$(x^s, y^s) = T_\theta(x^t, y^t)$", size=30)
    figure.add_axes((0.28, 0.06, 0.44, 0.36)).imshow(a_digit()[..., 0], cmap="gray_r")
    figure.axes[0].set(xticks=[], yticks=[])
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels: Array = np.asarray(canvas.buffer_rgba(), float) / 255
    return pixels[..., :3]


def a_photograph(rng: np.random.Generator) -> tuple[Array, Array]:
    """That page on a desk, seen from aside, (800, 640, 3); and its corners there, in pixels.

    corners  (4, 2), clockwise from the page's upper left one
    """
    corners = np.array([[150.0, 90], [560, 165], [500, 720], [50, 620]])
    half = (np.array([640, 800]) - 1) / 2
    theta = four_points((corners / half - 1)[None], CORNERS[None])
    page = np.concatenate([a_page(), np.ones((1000, 707, 1))], axis=-1)
    V = transform(page[None], theta, transformation=eq.PROJECTIVE, size=(800, 640))[0]
    light = np.linspace(1, 0.65, 640)[:, None]
    desk = np.array([0.45, 0.3, 0.2]) + rng.normal(0, 0.02, (800, 1, 1))
    photo = (V[..., :3] + (1 - V[..., 3:]) * desk) * light + rng.normal(0, 0.01, (800, 640, 3))
    return np.clip(photo, 0, 1), corners
