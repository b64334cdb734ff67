"""What the pictures show, read back from their axes."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import demo, diagrams, galleries, plots
from stn_ref import equations as eq


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
    spline, theta = demo.a_spline()
    _, ax = plt.subplots()
    plots.control_points(theta, (28, 28), transformation=spline, ax=ax)
    start, end = (np.stack(line.get_data(), axis=-1) for line in ax.lines)
    assert_allclose(start, (spline.identity() + 1) * 13.5)
    assert_allclose(end, (theta + 1) * 13.5)


def test_the_taps_of_a_trace_have_their_weights_for_areas():
    U, (theta, size) = demo.a_digit(), demo.a_crop()
    report = stn_ref.trace(U[None], theta, at=(0, 6, 11), size=size)
    V = stn_ref.transform(U[None], theta, size=size)[0]
    figure = diagrams.trace(report, U, V)
    discs = [p for p in figure.axes[2].patches if isinstance(p, Circle)]
    assert [d.center for d in discs] == [(t.m, t.n) for t in report.taps]
    areas = np.array([d.radius**2 for d in discs])
    assert_allclose(areas / areas.sum(), [t.weight for t in report.taps])


def test_the_module_is_labelled_with_the_shapes_of_the_run():
    U, (theta, _) = demo.a_digit(), demo.a_crop()
    figure = diagrams.module(U, demo.layers_for(theta[0]), (12, 16))
    words = " ".join(t.get_text() for ax in figure.axes for t in ax.texts)
    words += " ".join(ax.get_title() for ax in figure.axes)
    for shape in ("(1, 28, 28, 1)", "(1, 2, 3)", "(12, 16, 2)", "(1, 12, 16, 2)", "(1, 12, 16, 1)"):
        assert shape in words


def test_the_output_is_drawn_upright_beside_its_source():
    U, theta = demo.a_digit(), np.array([[0.5, 0, 0.1], [0, 0.5, -0.2]])
    _, axes = plt.subplots(1, 2)
    plots.source_and_target(U, theta, axes=axes)
    V = stn_ref.transform(U[None], theta[None])[0]
    assert_array_equal(axes[0].images[0].get_array(), U[..., 0])
    assert_array_equal(axes[1].images[0].get_array(), V[..., 0])
    for ax in axes:
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # rows run down


def test_compared_images_share_one_scale():
    images = [np.full((2, 2, 1), value) for value in (-1.0, 0.0, 3.0)]
    axes = plots.compare(images, ["a", "b", "c"])
    assert {ax.images[0].get_clim() for ax in axes.flat} == {(-1.0, 3.0)}


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
    figure = galleries.paddings(*demo.a_part_from_afar())
    images = [ax.images[0].get_array() for ax in figure.axes]
    assert len(images) == len(eq.PADDINGS)
    for image in images[1:]:
        assert image[50, 45] == images[0][50, 45] and not np.array_equal(image, images[0])


def test_wide_kernels_fade_what_the_narrow_one_folds_back():
    images = [ax.images[0].get_array() for ax in galleries.shrinking().axes]
    spread = [np.std(image[6:14, 6:14]) for image in images[1:]]
    assert spread[0] > 0.1 and spread[2] < 0.01


def test_the_knot_shows_the_print_to_be_the_image():
    U = demo.a_digit()
    figure = diagrams.knot(U)
    images = {ax.get_title(): ax.images[0].get_array() for ax in figure.axes if ax.images}
    assert_array_equal(images["as printed: $U$ itself"], U[..., 0])
    assert_allclose(images["central"], (images["left"] + images["right"]) / 2)
