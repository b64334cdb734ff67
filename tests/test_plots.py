"""What the pictures show, read back from their axes."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle
from matplotlib.quiver import Quiver
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.plots import diagrams, examples, films, galleries, lecture


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_warped_grid_is_drawn_where_the_points_are():
    theta = np.array([[0.5, 0.2, 0.1], [-0.1, 0.7, 0.2]])
    _, ax = plt.subplots()
    plots.warped_grid(theta, (4, 6), (9, 11), lines=3, ax=ax)
    xy = eq.to_pixels(eq.AFFINE.grid(theta[None], eq.target_grid((4, 6))), (9, 11))[0]
    lines = [np.stack(line.get_data(), axis=-1) for line in ax.lines]
    assert_allclose(lines[0], xy[0])  # the first row, then the others, then the columns
    assert_allclose(lines[3], xy[:, 0])
    assert_allclose(lines[-1], [xy[0, 0]])  # the dot


def test_a_kernel_is_drawn_above_its_derivative():
    _, axes = plt.subplots(2)
    plots.kernel(eq.BILINEAR, axes=axes)
    for ax, f in zip(axes, (eq.BILINEAR.k, eq.BILINEAR.dk), strict=True):
        points = [line.get_data() for line in ax.lines if len(line.get_xdata()) > 50]
        t, y = np.concatenate(points, axis=1)
        assert len(t) > 300
        assert_array_equal(y, f(t, ()))


def test_control_points_are_drawn_where_theta_puts_them():
    spline, theta = examples.a_spline()
    _, ax = plt.subplots()
    plots.control_points(theta, (28, 28), transformation=spline, ax=ax)
    start, end = (np.stack(line.get_data(), axis=-1) for line in ax.lines)
    assert_allclose(start, (spline.identity() + 1) * 13.5)
    assert_allclose(end, (theta + 1) * 13.5)


def test_the_taps_of_a_trace_have_their_weights_for_areas():
    U, (theta, size) = examples.a_digit(), examples.a_crop()
    report = stn_ref.trace(U[None], theta, at=(0, 6, 11), size=size)
    V = stn_ref.transform(U[None], theta, size=size)[0]
    figure = diagrams.trace(report, U, V)
    discs = [p for p in figure.axes[2].patches if isinstance(p, Circle)]
    assert [d.center for d in discs] == [(t.m, t.n) for t in report.taps]
    areas = np.array([d.radius**2 for d in discs])
    assert_allclose(areas / areas.sum(), [t.weight for t in report.taps])


def test_the_module_is_labelled_with_the_shapes_of_the_run():
    U, (theta, _) = examples.a_digit(), examples.a_crop()
    figure = diagrams.module(U, examples.layers_for(theta[0]), (12, 16))
    words = " ".join(t.get_text() for ax in figure.axes for t in ax.texts)
    words += " ".join(ax.get_title() for ax in figure.axes)
    for shape in ("(1, 28, 28, 1)", "(1, 2, 3)", "(12, 16, 2)", "(1, 12, 16, 2)", "(1, 12, 16, 1)"):
        assert shape in words


def test_the_output_is_drawn_upright_beside_its_source():
    U, theta = examples.a_digit(), np.array([[0.5, 0, 0.1], [0, 0.5, -0.2]])
    _, axes = plt.subplots(1, 2)
    plots.source_and_target(U, theta, axes=axes)
    V = stn_ref.transform(U[None], theta[None])[0]
    assert_array_equal(axes[0].images[0].get_array(), U[..., 0])
    assert_array_equal(axes[1].images[0].get_array(), V[..., 0])
    for ax in axes:
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # rows run down


def test_compared_images_share_one_scale():
    images = [np.full((2, 2, 1), value) for value in (-1.0, np.nan, 3.0)]
    axes = plots.compare(images, ["a", "b", "c"], "title")
    assert {ax.images[0].get_clim() for ax in axes.flat} == {(-1.0, 3.0)}
    assert [ax.get_title() for ax in axes.flat] == ["a", "b", "c"]


def test_differences_from_the_first_are_drawn_below_about_zero(rng):
    images = rng.uniform(size=(3, 4, 5, 2))
    axes = plots.compare(images, columns=2, difference=True)
    assert axes.shape == (4, 2)
    for k, ax in ((1, axes[1, 1]), (2, axes[3, 0])):
        below = (images[k] - images[0]).mean(axis=-1)
        assert_allclose(ax.images[0].get_array(), below)
        low, high = ax.images[0].get_clim()
        assert low == -high and high >= abs(below).max()
    assert not axes[1, 0].images, "the first does not differ from itself"


def test_three_channels_are_colours_and_of_two_the_first_is_drawn(rng):
    U = rng.uniform(-0.5, 1.5, size=(4, 5, 3))
    assert_array_equal(plots.show(U).images[0].get_array(), np.clip(U, 0, 1))
    assert_array_equal(plots.show(U[..., :2]).images[0].get_array(), U[..., 0])


def test_arrows_of_the_gradient_field_go_downhill(rng):
    U, xy = rng.standard_normal((1, 6, 7, 2)), rng.uniform(0, 5, (1, 5, 4, 2))
    dV = rng.standard_normal((1, 5, 4, 2))
    dxy = stn_ref.sample_backward(dV, U, xy)[1]
    dxy[0, 0, 0] = np.nan
    ax = plots.gradient_field(U[0], xy[0], dxy[0], longest=0.5, arrows=3)
    (field,) = (c for c in ax.collections if isinstance(c, Quiver))
    few = np.ix_([0, 2, 4], [0, 2, 3])  # 1.5 is rounded to 2
    assert_allclose(field.XY, xy[0][few].reshape(-1, 2))
    arrows, down = np.stack([field.U, field.V], axis=-1), -dxy[0][few].reshape(-1, 2)
    assert_allclose(arrows[1:], 0.5 / np.nanmax(np.hypot(*down.T)) * down[1:])
    assert field.scale == 1 and field.angles == field.scale_units == "xy", "in pixels"
    assert not plots.gradient_field(U[0], xy[0], 0 * xy[0]).collections[0].U.any()


THETA, POINTS = eq.AFFINE.identity(), np.zeros((4, 5, 2))
MAP, FRAME = np.ones((6, 7, 1)), plots.Frame(3, np.ones((3, 6, 7, 1)), *2 * [np.ones((3, 4, 5, 2))])
SINGLE = {
    "show": (plots.show, MAP),
    "warped_grid": (plots.warped_grid, THETA, (4, 5), (6, 7)),
    "grid_lines": (plots.grid_lines, POINTS),
    "gradient_field": (plots.gradient_field, MAP, POINTS, POINTS),
    "contact_sheet": (plots.contact_sheet, MAP[None], "a"),
}
PAIRS = {
    "kernel": (plots.kernel, eq.keys()),
    "source_and_target": (plots.source_and_target, MAP, THETA),
    "grid_and_output": (plots.grid_and_output, MAP, POINTS, np.ones((4, 5, 1))),
}
PAGES = {"compare": (plots.compare, [MAP]), "training_film": (plots.training_film, [FRAME])}


@pytest.mark.parametrize(("draw", "arguments"), [(f, a) for f, *a in SINGLE.values()], ids=SINGLE)
def test_a_picture_goes_into_the_axes_given_or_into_new_ones_rows_down(draw, arguments):
    _, ax = plt.subplots()
    assert draw(*arguments, ax=ax) is ax and plt.get_fignums() == [1]
    new = draw(*arguments)
    assert new.has_data() and plt.get_fignums() == [1, 2]
    for drawn in (ax, new):
        assert drawn.get_ylim()[0] > drawn.get_ylim()[1] and drawn.get_aspect() == 1
    with pytest.raises(TypeError, match="expected Matplotlib axes"):
        draw(*arguments, ax=plt)


@pytest.mark.parametrize(("draw", "arguments"), [(f, a) for f, *a in PAIRS.values()], ids=PAIRS)
def test_a_pair_goes_into_the_two_axes_given_or_into_new_ones(draw, arguments):
    _, axes = plt.subplots(2)
    assert [*draw(*arguments, axes=axes)] == [*axes] and plt.get_fignums() == [1]
    assert all(ax.has_data() for ax in draw(*arguments)) and plt.get_fignums() == [1, 2]
    for wrong in (axes[:1], [1, 2]):
        with pytest.raises(TypeError, match="expected 2 Matplotlib axes"):
            draw(*arguments, axes=wrong)


@pytest.mark.parametrize(("draw", "arguments"), [(f, a) for f, *a in PAGES.values()], ids=PAGES)
def test_a_page_goes_into_the_figure_given_or_into_a_new_one(draw, arguments):
    part = plt.figure().subfigures(1, 2)[1]
    assert all(ax.figure is part for ax in draw(*arguments, figure=part).flat)
    assert plt.get_fignums() == [1]
    assert draw(*arguments).ndim == 2 and plt.get_fignums() == [1, 2]
    with pytest.raises(TypeError, match="expected a Matplotlib figure"):
        draw(*arguments, figure=plt)


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: plots.show(MAP[..., 0]), ValueError, r"\(6, 7\); expected \(H, W, C\)"),
        (lambda: plots.show(MAP[:0]), ValueError, "each must be at least 1"),
        (lambda: plots.show(MAP.astype(int)), TypeError, "U has dtype int64"),
        (lambda: plots.warped_grid(THETA[None], (4, 5), (6, 7)), ValueError, "expected .2, 3."),
        (lambda: plots.warped_grid(THETA, (4, 0), (6, 7)), ValueError, "at least 1"),
        (lambda: plots.warped_grid(THETA, (4, 5), (6, 7), lines=1), ValueError, "lines is 1"),
        (
            lambda: plots.warped_grid(THETA, (4, 5), (6, 7), align_corners="no"),
            TypeError,
            "align_corners is 'no'",
        ),
        (lambda: plots.source_and_target(MAP, THETA, transformation=1), TypeError, "AFFINE"),
        (lambda: plots.grid_and_output(MAP, POINTS[1:], POINTS), ValueError, "xy has shape"),
        (lambda: plots.grid_lines(POINTS[:0]), ValueError, "each must be at least 1"),
        (lambda: plots.gradient_field(MAP, POINTS, POINTS[1:]), ValueError, "dxy has shape"),
        (lambda: plots.gradient_field(MAP, POINTS, POINTS, arrows=0.5), TypeError, "arrows is 0.5"),
        (lambda: plots.gradient_field(MAP, POINTS, POINTS, longest="a"), TypeError, "longest is"),
        (lambda: plots.kernel("keys"), TypeError, "expected a Kernel"),
        (lambda: plots.compare([]), ValueError, "0 images"),
        (lambda: plots.compare([MAP], ["a", "b"]), ValueError, "1 images and 2 titles"),
        (lambda: plots.compare([MAP], columns=0), ValueError, "columns is 0"),
        (lambda: plots.compare([MAP, MAP[1:]], difference=True), ValueError, "expected one shape"),
        (lambda: plots.training_film([]), ValueError, "no images"),
        (lambda: films.moving_picture([], None), ValueError, "no images"),
        (lambda: plots.animate(None, [], None), ValueError, "moments is empty"),
        (
            lambda: plots.training_film([FRAME, FRAME._replace(V=FRAME.V[:1])]),
            ValueError,
            "images; expected one number",
        ),
    ],
)
def test_what_cannot_be_drawn_is_a_clear_error(draw, error, message):
    with pytest.raises(error, match=message):
        draw()
    assert not plt.get_fignums(), "and no figure is left behind"


def test_a_saved_picture_is_opaque_on_white_and_the_same_bytes(tmp_path):
    paths = []
    for name, what in (("a", lambda axes: axes), ("b", lambda axes: axes[0, 0].figure)):
        with plt.style.context("dark_background"):
            axes = plots.compare([MAP], ["title"])
            paths.append(plots.save(what(axes), tmp_path / f"{name}.png", dpi=40))
    pixels = plt.imread(paths[0])
    assert pixels.shape[-1] == 3 or (pixels[..., 3] == 1).all()
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1], :3] == 1).all()
    assert paths[0].read_bytes() == paths[1].read_bytes() and not plt.get_fignums()


def test_a_moving_picture_has_every_moment_and_the_same_bytes(tmp_path, rng):
    frames = [FRAME._replace(step=k, V=rng.uniform(size=(3, 4, 5, 1))) for k in range(3)]
    films.moving_picture(frames, tmp_path / "a.gif")
    films.moving_picture(frames, tmp_path / "b.gif")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    with PIL.Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == 3 and picture.info["loop"] == 0 and not plt.get_fignums()
        shown = []
        for k in range(3):
            picture.seek(k)
            shown.append(np.asarray(picture.convert("RGB")))
    assert (shown[0][0, 0] == 255).all() and not np.array_equal(shown[0], shown[2])


def test_a_spline_is_bent_from_the_identity_to_theta_and_back(monkeypatch):
    bent = []
    monkeypatch.setattr(diagrams, "animate", lambda draw, moments, path: bent.extend(moments))
    (spline, theta), U = examples.a_spline(), examples.a_digit()
    diagrams.bending(U, theta, spline, None)
    assert_array_equal(bent[0], spline.identity())
    assert_allclose(bent[len(bent) // 2], theta)
    assert_allclose(bent[1], bent[-1])


def test_a_contact_sheet_has_each_image_under_its_label():
    images = np.random.default_rng(0).random((5, 28, 28, 1))
    _, ax = plt.subplots()
    plots.contact_sheet(images, "abcde", columns=3, ax=ax)
    sheet = ax.images[0].get_array()
    frames = [p.get_bbox() for p in ax.patches]
    assert [t.get_text() for t in ax.texts] == list("abcde") and len(frames) == 5
    for image, text, frame in zip(images, ax.texts, frames, strict=True):
        i, j = int(frame.y0 + 0.5), int(frame.x0 + 0.5)
        for channel in range(3):  # dark on light
            assert_allclose(sheet[i : i + 28, j : j + 28, channel], 1 - image[..., 0])
        x, y = text.get_position()
        assert x == (frame.x0 + frame.x1) / 2 and 0 < frame.y0 - 4 < y < frame.y0
    assert frames[3].x0 == frames[0].x0 and frames[3].y0 > frames[0].y1 + 5, "a new row"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_two_channels_of_a_contact_sheet_are_blue_and_orange():
    images = np.zeros((1, 28, 28, 2))
    images[0, :10, :, 0] = images[0, 5:20, :, 1] = 1
    _, ax = plt.subplots()
    plots.contact_sheet(images, [9], ax=ax)
    column = (255 * ax.images[0].get_array()[-28:, 0]).round().astype(int)
    blue, orange = ([int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in (plots.BLUE, plots.ORANGE))
    assert_array_equal(column[0], blue)
    assert_array_equal(column[15], orange)
    assert_array_equal(column[7], np.maximum(0, np.add(blue, orange) - 255))
    assert_array_equal(column[25], [255] * 3)


def test_ink_is_for_one_to_three_channels():
    assert plots.inked(np.zeros((2, 3, 1))).shape == (2, 3, 3)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\); expected 1 to 3 channels"):
        plots.inked(np.zeros((2, 3, 4)))


def test_boxes_of_a_contact_sheet_are_drawn_on_their_images():
    boxes = np.array([[[1.0, 2, 5, 8]], [[0, 0, 27, 27]]])
    _, ax = plt.subplots()
    plots.contact_sheet(np.zeros((2, 28, 28, 1)), [0, 1], ax=ax, boxes=boxes)
    first, box, second, other = (p.get_bbox() for p in ax.patches)
    corner = first.x0 + 0.5, first.y0 + 0.5
    assert_allclose(box.extents - [*corner, *corner], boxes[0, 0])
    assert_allclose(other.extents - [second.x0 + 0.5, second.y0 + 0.5] * 2, boxes[1, 0])
    with pytest.raises(ValueError, match="boxes has shape"):
        plots.contact_sheet(np.zeros((2, 28, 28, 1)), [0, 1], ax=ax, boxes=boxes[:, 0])


@pytest.mark.parametrize(
    ("shape", "labels", "columns"),
    [((0, 28, 28, 1), [], 5), ((2, 28, 28, 4), [0, 1], 5), ((2, 28, 28, 1), [0], 5)]
    + [((1, 28, 28, 1), [0], 0), ((2, 28, 28), [0, 1], 5)],
)
def test_a_contact_sheet_says_what_it_does_not_take(shape, labels, columns):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="expected"):
        plots.contact_sheet(np.zeros(shape), labels, columns=columns, ax=ax)


def test_the_lattice_is_labelled_with_its_coordinates():
    figure = diagrams.lattices((2, 3))
    labels = [t.get_text() for t in figure.axes[0].texts]
    assert labels == ["−1\n−1", "0\n−1", "1\n−1", "−1\n1", "0\n1", "1\n1"]


def test_paddings_agree_inside_the_frame_and_not_outside():
    figure = galleries.paddings(*examples.a_part_from_afar())
    images = [ax.images[0].get_array() for ax in figure.axes]
    assert len(images) == len(eq.PADDINGS)
    for image in images[1:]:
        assert image[50, 45] == images[0][50, 45] and not np.array_equal(image, images[0])


def test_wide_kernels_fade_what_the_narrow_one_folds_back():
    images = [ax.images[0].get_array() for ax in galleries.shrinking().axes]
    spread = [np.std(image[6:14, 6:14]) for image in images[1:]]
    assert spread[0] > 0.1 and spread[2] < 0.01


def test_a_chain_names_one_place_four_times():
    U, (theta, size) = examples.a_digit(), examples.a_crop()
    report = stn_ref.trace(U[None], theta, at=(0, 6, 11), size=size)
    axes = lecture.chain(report, U, theta[0], size).axes
    points = [ax.lines[0].get_xydata()[0] for ax in axes]
    for found, right in zip(points, ((11, 6), report.G, report.grid, report.xy), strict=True):
        assert_allclose(found, right)
    assert axes[0].get_xlabel() == "(6, 11)", "row and column, as arrays are indexed"
    squares = [patch.get_xy() for patch in axes[3].patches]
    assert squares == [(tap.m - 0.5, tap.n - 0.5) for tap in report.taps]


def test_each_centre_weighs_as_much_as_the_rectangle_across_from_it():
    U, x, y = examples.a_digit()[..., 0], 17.3, 10.6
    left, right = lecture.areas(U, x, y).axes
    colours = {
        line.get_color(): line.get_xydata()[0] for line in left.lines if len(line.get_xydata()) == 1
    }
    for patch in left.patches:
        m, n = colours[to_hex(patch.get_facecolor()).upper()]
        area = abs(patch.get_width() * patch.get_height())
        assert_allclose(area, (1 - abs(x - m)) * (1 - abs(y - n)))
    V = eq.sample(U[None, ..., None], np.array([[[[x, y]]]])).item()
    assert f"$V$ = {V:.3f}" in [text.get_text() for text in right.texts]


def test_six_fields_are_the_differences_of_eq_1():
    G, h = eq.target_grid((9, 9)), 1e-6
    for k, ax in enumerate(lecture.six_fields().axes):
        step = h * (np.arange(6) == k).reshape(1, 2, 3)
        ahead, behind = (eq.AFFINE.grid(s * step + eq.AFFINE.identity(), G) for s in (1, -1))
        (arrows,) = ax.collections
        drawn = np.stack([arrows.U, arrows.V], axis=-1)
        assert_allclose(drawn, ((ahead - behind) / (2 * h)).reshape(-1, 2), atol=1e-9)


def test_descent_comes_home_from_near_and_on_a_soft_copy_from_further():
    figure = lecture.basin(examples.a_digit(), [(1.6, -2.3), (5.6, 6.6)], reach=8)
    ends = [
        [
            line.get_xydata()[-1]
            for line in ax.lines
            if len(line.get_xydata()) > 9 and line.get_color() != "white"
        ]
        for ax in figure.axes
    ]
    home = np.hypot(*np.moveaxis(ends, -1, 0)) < 0.5
    assert home.tolist() == [[True, False], [True, True]]


def test_the_module_backwards_shows_its_gradients():
    U, (theta, size) = examples.a_digit(), examples.a_crop()
    layers, dV = examples.layers_for(theta[0]), np.ones((*size, 1))
    figure = lecture.backwards(U, layers, size, dV)
    dU, _ = eq.spatial_transformer_backward(dV[None], U[None], layers)
    assert_array_equal(figure.axes[1].images[0].get_array(), dU[0, ..., 0])
    assert len(lecture.blocks().axes) == 2


@pytest.mark.parametrize("too", ["svg", "pdf"])
def test_on_request_a_picture_is_written_for_slides_too(too, tmp_path, monkeypatch):
    monkeypatch.setenv("STN_REF_FORMAT", too)
    for name in ("a.png", "b.png"):
        assert plots.save(plt.figure(), tmp_path / name) == tmp_path / name
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png", f"a.{too}", f"b.{too}"}
    monkeypatch.setenv("STN_REF_FORMAT", "jpeg")
    with pytest.raises(ValueError, match="'jpeg'; expected one of svg, pdf"):
        plots.save(plt.figure(), tmp_path / "c.png")


def test_the_knot_shows_the_print_to_be_the_image():
    U = examples.a_digit()
    figure = diagrams.knot(U)
    images = {ax.get_title(): ax.images[0].get_array() for ax in figure.axes if ax.images}
    assert_array_equal(images["as printed: $U$ itself"], U[..., 0])
    assert_allclose(images["central"], (images["left"] + images["right"]) / 2)
