"""The figures that are shown are those that the tutorials draw."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
from PIL import Image

from stn_ref import demo, galleries, plots

ROOT = Path(__file__).parents[1]
SCRIPTS = {path: path.read_text() for path in sorted((ROOT / "tutorials").glob("*.py"))}
DRAWN = [  # what training leads to is not the same on every machine
    (figure, script)
    for figure in sorted((ROOT / "figures").glob("*.png"))
    for script, text in SCRIPTS.items()
    if f'"{figure.name}"' in text and "fit(" not in text
]
PIXELS, LIMIT = 16, 0.1


def differ(one, other):
    """The largest difference between mean greys of about 16 pixels square, 0 to 1.

    That forgives a font and how it is smoothed. Pictures of different forms differ by 1.
    """
    with Image.open(one) as a, Image.open(other) as b:
        if np.max(abs(np.subtract(a.size, b.size))) > PIXELS:
            return 1.0
        size = [-(-side // PIXELS) for side in a.size]
        a, b = (im.convert("RGB").convert("L").resize(size, Image.Resampling.BOX) for im in (a, b))
        return np.max(abs(np.subtract(a, b, dtype=float))) / 255


@pytest.mark.parametrize(("figure", "script"), DRAWN, ids=[f.stem for f, _ in DRAWN])
def test_a_figure_is_what_its_tutorial_draws(figure, script, tutorial):
    assert differ(figure, tutorial(script)[1] / figure.name) < LIMIT


def test_most_figures_are_compared():
    assert len(DRAWN) >= 20


def test_another_theta_and_a_flipped_axis_are_seen(tmp_path):
    U, examples = demo.a_digit(), demo.examples()[:2]
    shown = plots.save(galleries.warped_grids(U, examples), tmp_path / "shown.png")
    (title, transformation, theta), other = examples
    turned = galleries.warped_grids(U, [(title, transformation, 1.05 * theta), other])
    assert differ(shown, plots.save(turned, tmp_path / "turned.png")) > LIMIT
    flipped = galleries.warped_grids(U, examples)
    flipped.axes[1].invert_yaxis()
    assert differ(shown, plots.save(flipped, tmp_path / "flipped.png")) > LIMIT
