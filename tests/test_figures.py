"""The tutorials, run as a newcomer runs them; the figures that are shown are what they draw."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
from PIL import Image

from stn_ref import plots
from stn_ref.plots import examples, galleries

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


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory):
    """Runs a script as a newcomer does, once; what came of it, and where its pictures are."""

    @cache
    def run(script):
        out = tmp_path_factory.mktemp(script.stem)
        command = [sys.executable, "-W", "error", str(script), str(out)]
        here = {"PYTHONPATH": str(ROOT), "STN_REF_QUICK": "1"}
        return subprocess.run(
            command, cwd=out, env=os.environ | here, capture_output=True, text=True, timeout=120
        ), out

    return run


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_tutorial_runs_headless_and_writes_the_figures_it_names(script, tutorial):
    run, out = tutorial(script)
    assert run.returncode == 0, run.stderr
    written = {path.name for path in out.glob("*.png")}
    assert written and all(f'out / "{name}"' in SCRIPTS[script] for name in written)
    assert SCRIPTS[script].startswith("# %% [markdown]\n# # ")


@pytest.mark.parametrize(("figure", "script"), DRAWN, ids=[f.stem for f, _ in DRAWN])
def test_a_figure_is_what_its_tutorial_draws(figure, script, tutorial):
    assert differ(figure, tutorial(script)[1] / figure.name) < LIMIT


def test_every_figure_is_drawn_by_a_tutorial_and_most_are_compared():
    drawn = {name for text in SCRIPTS.values() for name in re.findall(r'out / "(\w+\.\w+)"', text)}
    drawn |= set(re.findall(r'save\(axes, "([\w.]+)"\)', (ROOT / "README.md").read_text()))
    assert drawn == {path.name for path in (ROOT / "figures").iterdir()} - {"README.md"}
    assert len(DRAWN) >= 20


def test_another_theta_and_a_flipped_axis_are_seen(tmp_path):
    U, family = examples.a_digit(), examples.affine_family()[:2]
    shown = plots.save(galleries.warped_grids(U, family), tmp_path / "shown.png")
    (title, transformation, theta), other = family
    turned = galleries.warped_grids(U, [(title, transformation, 1.05 * theta), other])
    assert differ(shown, plots.save(turned, tmp_path / "turned.png")) > LIMIT
    flipped = galleries.warped_grids(U, family)
    flipped.axes[1].invert_yaxis()
    assert differ(shown, plots.save(flipped, tmp_path / "flipped.png")) > LIMIT
