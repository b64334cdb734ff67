"""The window that `python -m stn_ref explore` opens, driven through its widgets."""

import os
from itertools import combinations

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backend_bases import FigureCanvasBase, FigureManagerBase, KeyEvent, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.quiver import Quiver
from matplotlib.text import Text
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

import stn_ref
from stn_ref import equations as eq
from stn_ref.__main__ import main
from stn_ref.data.distortions import CORNERS, four_points, is_convex
from stn_ref.plots import examples
from stn_ref.plots import explore as window
from stn_ref.plots.explore import KERNELS, SLIDERS, Explorer

NAMES = list(SLIDERS)


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch):
    """To be quick, nothing is drawn before it is saved."""
    monkeypatch.setattr(FigureCanvasBase, "draw_idle", lambda canvas: None)
    yield
    plt.close("all")


@pytest.fixture
def explorer():
    return Explorer(examples.a_digit(), plt.figure(figsize=(11.5, 6.9)))


def shown(explorer):
    """V, as it is drawn."""
    return explorer.panels[1].images[0].get_array()


def warped(explorer, theta=None, **options):
    transformation = explorer.rows[explorer.name][1]
    theta = explorer.theta if theta is None else theta
    options = {"transformation": transformation, "backend": "reference"} | options
    return stn_ref.transform(explorer.U[None], theta[None], **options)[0, ..., 0]


def arrows(explorer):
    (field,) = (c for c in explorer.panels[2].collections if isinstance(c, Quiver))
    return np.stack([field.U, field.V])


def mouse(explorer, name, x, y):
    """An event at a source point, in pixels of U."""
    canvas, place = explorer.figure.canvas, explorer.panels[0].transData.transform((x, y))
    canvas.callbacks.process(name, MouseEvent(name, canvas, *place, button=1))


def drag(explorer, start, *stops):
    mouse(explorer, "button_press_event", *start)
    for stop in stops:
        mouse(explorer, "motion_notify_event", *stop)
    mouse(explorer, "button_release_event", *stops[-1])


def press(button):
    canvas, middle = button.ax.figure.canvas, np.mean(button.ax.get_window_extent(), axis=0)
    for name in ("button_press_event", "button_release_event"):
        canvas.callbacks.process(name, MouseEvent(name, canvas, *middle, button=1))


def test_each_slider_is_an_entry_of_theta(explorer):
    for k, name in enumerate(NAMES):
        explorer.transformations.set_active(k)
        theta = explorer.theta.copy()
        assert len(explorer.sliders) == (theta.size if SLIDERS[name] else 0)
        if explorer.sliders:
            explorer.sliders[-1].set_val(0.25)
            theta.flat[-1] = 0.25
        assert_array_equal(explorer.theta, theta)
        assert_array_equal(shown(explorer), warped(explorer, theta))


def test_what_is_left_is_found_again(explorer):
    explorer.sliders[2].set_val(-0.5)
    kept = explorer.theta.copy()
    explorer.transformations.set_active(NAMES.index("rotation"))
    assert len(explorer.sliders) == 1
    explorer.transformations.set_active(NAMES.index("affine"))
    assert [slider.val for slider in explorer.sliders] == kept.ravel().tolist()
    assert_array_equal(shown(explorer), warped(explorer, kept))


def test_kernel_padding_and_corners_are_those_that_are_chosen(explorer):
    explorer.transformations.set_active(NAMES.index("attention"))
    explorer.kernels.set_active([*KERNELS].index("keys(−¾)"))
    assert_array_equal(shown(explorer), warped(explorer, kernel=eq.keys()))
    explorer.paddings.set_active([*eq.PADDINGS].index("constant"))
    options = {"kernel": eq.keys(), "padding": "constant", "fill": 0.5}
    assert_array_equal(shown(explorer), warped(explorer, **options))
    explorer.corners.set_active(0)
    assert_array_equal(shown(explorer), warped(explorer, align_corners=False, **options))


@pytest.mark.parametrize("name", [name for name in NAMES if not SLIDERS[name]])
def test_a_point_goes_where_the_mouse_takes_it(explorer, name):
    explorer.transformations.set_active(NAMES.index(name))
    assert not explorer.sliders and explorer.hint.get_visible()
    transformation = explorer.rows[name][1]
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    anchors = square if name == "projective" else transformation.identity()
    for aligned, to in ((True, (24.0, 3.0)), (False, (22.0, 4.0))):

        def places(aligned=aligned):
            grid = transformation.grid(explorer.theta[None], anchors[None])
            return eq.to_pixels(grid, (28, 28), align_corners=aligned)[0, 0]

        before = places()
        drag(explorer, before[1] + [0.3, 0.1], (20.0, 9.0), to)
        mouse(explorer, "motion_notify_event", 2, 2)  # let go of
        before[1] = to
        assert_allclose(places(), before, atol=1e-9)
        assert_allclose(shown(explorer), warped(explorer, align_corners=aligned))
        explorer.corners.set_active(0)


def test_nothing_moves_that_was_not_taken(explorer):
    before = explorer.theta.copy()
    drag(explorer, (3, 3), (20, 9))
    assert_array_equal(explorer.theta, before, "it has sliders")
    explorer.transformations.set_active(NAMES.index("projective"))
    before = explorer.theta.copy()
    drag(explorer, (14, 20), (20, 9))
    assert_array_equal(explorer.theta, before, "too far away")


def test_corners_never_turn_the_frame_inside_out(explorer):
    explorer.transformations.set_active(NAMES.index("projective"))
    press(explorer.identity)
    drag(explorer, (0, 0), (5, 5), (13, 16))  # beyond the diagonal of the other two
    assert_allclose(explorer.points()[0], (5, 5), atol=1e-9)


def test_at_the_identity_nothing_is_pulled_and_elsewhere_something_is(explorer):
    for k, name in enumerate(NAMES):
        explorer.transformations.set_active(k)
        assert np.any(arrows(explorer)), name
        press(explorer.identity)
        assert_allclose(shown(explorer), explorer.U[..., 0], atol=1e-9)
        assert explorer.loss.get_text().endswith("= 0") and not np.any(arrows(explorer))


def value(text):
    return float(text.get_text().replace("−", "-"))


def test_beside_each_slider_is_the_slope_of_the_loss(explorer):
    explorer.kernels.set_active([*KERNELS].index("bspline(3)"))  # it has no kinks
    for name in (name for name in NAMES if SLIDERS[name]):
        explorer.transformations.set_active(NAMES.index(name))
        warp, theta, h = explorer.warp(), explorer.theta, 1e-6
        for k, slider in enumerate(explorer.sliders):
            step = h * np.eye(theta.size)[k].reshape(theta.shape)
            ahead, behind = (warp.forward(theta + sign * step)[2] for sign in (1, -1))
            slope = (ahead - behind) / (2 * h)
            assert value(slider.slope) == pytest.approx(slope, rel=1e-3, abs=0.01), (name, k)
            assert (slider.arrow.xy[0] - slider.val) * slope < 0, "descent goes the other way"


@pytest.mark.parametrize("name", NAMES)
def test_descent_never_raises_the_loss(explorer, name, monkeypatch):
    monkeypatch.setattr(explorer, "draw", lambda: None)  # to be quick
    explorer.transformations.set_active(NAMES.index(name))
    losses = [explorer.warp().forward(explorer.theta)[2]]
    for _ in range(8):
        explorer.descend()
        losses.append(explorer.warp().forward(explorer.theta)[2])
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] / 2


def test_the_button_and_the_key_go_one_step_down(explorer):
    before = explorer.theta.copy()
    press(explorer.descent)
    step = explorer.theta - before
    assert np.any(step) and np.max(abs(step)) <= 0.1 + 1e-9
    assert explorer.note.get_text().startswith("η = ")
    assert [slider.val for slider in explorer.sliders] == explorer.theta.ravel().tolist()
    before, canvas = explorer.theta.copy(), explorer.figure.canvas
    for key, moved in (("x", False), ("d", True)):
        canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, key))
        assert np.any(explorer.theta != before) == moved


def test_where_nothing_pulls_descent_stays(explorer):
    explorer.kernels.set_active([*KERNELS].index("integer"))
    before = explorer.theta.copy()
    press(explorer.descent)
    assert_array_equal(explorer.theta, before)
    assert explorer.note.get_text() == "no step lowers L"


def test_descent_never_turns_the_frame_inside_out(explorer, monkeypatch):
    monkeypatch.setattr(explorer, "draw", lambda: None)
    explorer.transformations.set_active(NAMES.index("projective"))
    folding = np.array([[0.19, -0.46], [0.25, -0.42], [-0.28, 1.01], [-0.71, 0.32]])
    explorer.thetas["projective"] = four_points(CORNERS[None], folding[None])[0]
    for _ in range(15):
        explorer.descend()
        assert is_convex(explorer.anchors(explorer.theta)[None])[0]


@pytest.mark.parametrize("size", [(7, 6), (11.5, 6.9)])
@pytest.mark.parametrize("name", ["affine", "projective"])
def test_no_two_labels_overlap(size, name):
    explorer = Explorer(examples.a_digit(), plt.figure(figsize=size))
    explorer.transformations.set_active(NAMES.index(name))
    explorer.descend()
    explorer.figure.draw_without_rendering()
    texts = [t for t in explorer.figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    boxes = [text.get_window_extent() for text in texts]
    assert len(boxes) > 30
    for one, other in combinations(range(len(boxes)), 2):
        both = texts[one].get_text(), texts[other].get_text()
        assert not boxes[one].overlaps(boxes[other]), both
    for text, box in zip(texts, boxes, strict=True):
        assert box.x0 > 0 and box.x1 < 100 * size[0], f"{text} is cut off"


def test_the_window_has_a_title_and_no_toolbar(monkeypatch):
    opened = []

    class Window(FigureManagerBase):
        def __init__(self, canvas, number):
            super().__init__(canvas, number)
            opened.append((self, plt.rcParams["toolbar"]))

    before = plt.rcParams["toolbar"]
    monkeypatch.setattr(FigureCanvasAgg, "manager_class", Window)
    monkeypatch.setattr(plt, "show", lambda: None)
    window.explore()
    ((manager, toolbar),) = opened
    assert manager.get_window_title().startswith("stn_ref explore")
    assert toolbar == "None" and plt.rcParams["toolbar"] == before


def test_a_backend_that_draws_no_window_is_named(capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert main(["explore"]) == 2
    error = capsys.readouterr().err
    assert "MPLBACKEND=agg" in error and "tkagg" in error and "--save" in error
    assert "python3-tk" not in error and not plt.get_fignums()


def test_it_is_written_where_there_is_no_display(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "qtagg")
    rng = np.random.default_rng(0)
    photo = tmp_path / "photo.jpg"
    Image.fromarray(rng.integers(0, 255, (40, 30, 3), np.uint8)).save(photo)
    assert main(["explore", "--image", str(photo), "--save", str(tmp_path / "it.png")]) == 0
    assert str(tmp_path / "it.png") in capsys.readouterr().out
    assert os.environ["MPLBACKEND"] == "agg"
    assert plt.imread(tmp_path / "it.png").shape[0] > 500 and not plt.get_fignums()


def test_no_display_is_a_clear_error(capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "qtagg")
    assert main(["explore"]) == 2
    error = capsys.readouterr().err
    assert "cannot open a window" in error and "toolkit" in error and "--save" in error
    assert not plt.get_fignums()
    assert os.environ["MPLBACKEND"] == "qtagg", "a window has the toolkit that one asks for"


@pytest.mark.parametrize("name", ["text.png", "text.jpg", "missing.png", "."])
def test_a_file_that_is_no_image_is_a_clear_error(name, tmp_path, capsys):
    for file in ("text.png", "text.jpg"):
        (tmp_path / file).write_text("not an image")
    assert main(["explore", "--image", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m stn_ref explore: ") and str(tmp_path / name) in error
