"""Digits in volumes and signals at an uneven pace: what is drawn, and that its truth is told."""

import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import check_gradients, check_jvp, plots
from stn_ref import equations as eq
from stn_ref.data import digits, extrude, pace, played
from stn_ref.data.distortions import radius
from stn_ref.data.volumes import placed, rotation
from stn_ref.plots import solids

DIGITS = digits()
X, Y = DIGITS.x_test[::100], DIGITS.y_test[::100]


def drawn(images, theta, size, thickness=8):
    solid = np.broadcast_to(images[:, None], (len(images), thickness, 28, 28, 1))
    return stn_ref.transform(
        solid, theta, transformation=eq.affine(3), size=(size,) * 3, backend="reference"
    )


def some(**options):
    return extrude(X, Y, np.random.default_rng(0), **options)


# --- volumes ---


def test_a_digit_that_is_not_turned_stands_in_the_slices_of_its_solid():
    found = some(size=28, scale=1, thickness=6, angle=0)
    tall = np.hypot(radius(X), 2.5) + np.sqrt(3) > 14  # with no room to move
    assert np.count_nonzero(tall) >= 3
    expected = np.zeros((len(X), 28, 28, 28, 1))
    expected[:, 11:17] = X[:, None]
    assert_allclose(found.images[tall], expected[tall], atol=1e-12)
    assert_array_equal(found.labels, Y)
    assert_array_equal(found.rotation, [np.eye(3)] * len(X))
    assert_array_equal(np.all(found.place == 13.5, axis=1), tall)


@pytest.mark.parametrize("axis", range(3))
def test_a_quarter_turn_takes_each_coordinate_to_the_next(axis):
    """x to y about z, y to z about x, z to x about y; a volume's sides are z, y, x."""
    R = rotation(5 * np.eye(3)[axis][None], np.array([np.pi / 2]))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    assert_allclose(R[0, :, one], np.eye(3)[two], atol=1e-15)
    assert_allclose(R[0, :, two], -np.eye(3)[one], atol=1e-15)
    unturned = some(size=30, scale=1, thickness=28, angle=0).images
    turned = drawn(X, placed(np.repeat(R, len(X), 0), 1, np.zeros((len(X), 3)), (30,) * 3,
                             (28,) * 3), 30, 28)  # fmt: skip
    assert_allclose(turned, np.rot90(unturned, axes=(3 - one, 3 - two)), atol=1e-10)


def test_rotations_are_rotations_by_no_more_than_the_angle():
    R = extrude(X.repeat(20, 0), Y.repeat(20), np.random.default_rng(0), size=2, angle=40).rotation
    assert_allclose(R @ R.swapaxes(1, 2), [np.eye(3)] * len(R), atol=1e-14)
    assert_allclose(np.linalg.det(R), 1)
    angle = np.rad2deg(np.arccos((np.trace(R, axis1=1, axis2=2) - 1) / 2))
    assert 38 < angle.max() <= 40 and angle.min() < 2
    axis = np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], 1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    assert_allclose(axis.T @ axis / len(axis), np.eye(3) / 3, atol=0.07)  # in any direction


def test_a_blob_lands_where_its_truth_says():
    n, m = np.mgrid[:28, :28]
    blob = np.exp(-((n - 9) ** 2 + (m - 18) ** 2) / 8)
    blob *= blob > 1e-3
    images = np.broadcast_to(blob[..., None], (9, 28, 28, 1))
    found = extrude(images, np.zeros(9, int), np.random.default_rng(0), size=40, scale=0.9)
    mass = found.images[..., 0] / found.images.sum(axis=(1, 2, 3, 4))[:, None, None, None]
    centre = np.stack([np.sum(mass * g, axis=(1, 2, 3)) for g in np.mgrid[:40, :40, :40][::-1]], 1)
    expected = found.place + 0.9 * found.rotation @ [18 - 13.5, 9 - 13.5, 0]
    assert_allclose(centre, expected, atol=0.05)
    assert np.ptp(found.place, axis=0).min() > 8


def test_the_inverse_brings_the_digit_back_in_front_of_the_eye():
    found = some(size=40, scale=1)
    M = eq.affine(3).matrix(found.theta)
    back = stn_ref.transform(
        found.images, np.linalg.inv(M)[:, :3], transformation=eq.affine(3), size=(8, 28, 28),
        backend="reference",
    )  # fmt: skip
    for seen, x in zip(back.mean(axis=1), X, strict=True):
        assert np.corrcoef(seen.ravel(), x.ravel())[0, 1] > 0.96


def test_all_of_the_ink_stays_inside():
    found = some()
    wide = found.theta.copy()
    wide[:, :, :3] *= (26 - 1) / (24 - 1)  # the same voxels, and one more around
    larger = drawn(X, wide, 26)
    assert_allclose(larger[:, 1:-1, 1:-1, 1:-1], found.images, atol=1e-12)
    larger[:, 1:-1, 1:-1, 1:-1] = 0
    assert not larger.any()


def test_volumes_come_from_the_generator_and_in_the_precision_of_the_digits():
    one, same = some(size=9, scale=0.2), some(size=9, scale=0.2)
    other = extrude(X, Y, np.random.default_rng(1), size=9, scale=0.2)
    single = extrude(X.astype(np.float32), Y, np.random.default_rng(0), size=9, scale=0.2)
    for a, b in zip(one, same, strict=True):
        assert_array_equal(a, b)
    assert not np.array_equal(one.images, other.images)
    assert single.images.dtype == np.float32 and one.images.dtype == np.float64
    assert_allclose(single.images, one.images, atol=1e-6)
    assert one.images.min() == 0 and 0.7 < one.images.max() <= 1
    assert extrude(X[:0], Y[:0], np.random.default_rng(0)).images.shape == (0, 24, 24, 24, 1)


# --- signals ---


def test_a_pace_is_piecewise_linear_between_its_nodes():
    G = eq.target_grid((41,))
    theta = np.array([[-1, -0.2, 0.1, 2]]).T[None]
    found = pace(4).grid(theta, G)
    assert_allclose(found[0, :, 0], np.interp(G[:, 0], np.linspace(-1, 1, 4), theta[0, :, 0]))
    assert_allclose(pace(4).grid(theta, 3 * G)[0, [0, -1], 0], [-1, 2])  # time stands still
    assert_allclose(pace(5).grid(pace(5).identity()[None], G)[0], G)


def test_the_gradients_of_a_pace(rng):
    T, G = pace(4), np.array([-1.3, -0.9, -0.4, 0.05, 0.6, 1.2])[:, None]
    theta = rng.standard_normal((2, 4, 1))
    check_gradients(T.grid, T.grid_backward, theta, G, rng=rng).raise_if_wrong()
    check_jvp(T.grid, T.grid_jvp, theta, G, rng=rng).raise_if_wrong()
    at = np.array([[-1.0], [0], [1]])  # on the nodes, to the right
    _, dG = pace(3).grid_backward(np.ones((1, 3, 1)), np.array([[[-1.0], [0], [3]]]), at)
    assert_allclose(dG, [[1], [3], [0]])


def test_what_is_played_is_the_signal_at_the_times_that_theta_says(rng):
    ramp = np.broadcast_to(np.linspace(-1, 1, 61)[:, None], (200, 61, 1))
    found = played(ramp, rng, nodes=5, strength=0.5)
    assert_allclose(found.signals, pace(5).grid(found.theta, eq.target_grid((61,))), atol=1e-12)
    assert_array_equal(found.theta[:, [0, -1], 0], [[-1, 1]] * 200)
    speed = np.diff(found.theta[..., 0], axis=1)
    assert speed.min() > 0
    assert_allclose(np.std(np.log(speed[:, 1:] / speed[:, :-1])), 0.5 * np.sqrt(2), rtol=0.05)


def test_an_even_pace_gives_the_signal_back_and_the_generator_decides(rng):
    signals = rng.standard_normal((3, 21, 2)).astype(np.float32)
    even = played(signals, rng, strength=0).signals
    assert even.dtype == np.float32
    assert_allclose(even, signals, atol=1e-5)
    one, same, other = (played(signals, np.random.default_rng(s)).signals for s in (1, 1, 2))
    assert_array_equal(one, same)
    assert not np.array_equal(one, other)


# --- pictures ---


@pytest.fixture
def ax(request):
    matplotlib.use("agg")
    figure = plt.figure()
    yield figure.add_subplot(projection=getattr(request, "param", None))
    plt.close(figure)


def test_slices_are_laid_side_by_side_under_their_depths(ax, rng):
    U = rng.uniform(size=(9, 4, 8, 1))
    solids.slices(U, ax, (0, 4, 8), "title")
    shown = ax.images[0].get_array()
    assert shown.shape == (4, 3 * 8 + 2)
    for n, z in enumerate((0, 4, 8)):
        assert_array_equal(shown[:, 9 * n : 9 * n + 8], U[z, ..., 0])
        assert ax.texts[n].get_text() == f"$z={z}$" and ax.texts[n].get_position()[0] == 9 * n + 3.5
    assert ax.get_title() == "title"


@pytest.mark.parametrize("ax", ["3d"], indirect=True)
def test_a_solid_shows_its_larger_voxels_with_y_down_and_z_away(ax):
    U = np.zeros((4, 5, 6, 1))
    U[3, 1, 2] = U[0, 4, 5] = 1
    U[1, 1, 1] = 0.3
    solids.solid(U, ax)
    points = np.array(ax.collections[0]._offsets3d)
    assert_array_equal(points, [[5, 2], [0, 3], [4, 1]])  # x, z, y
    assert ax.get_zlim() == (4.5, -0.5) and ax.get_ylim() == (-0.5, 3.5)
    assert len(ax.lines) == 12
    ends = np.array([line.get_data_3d() for line in ax.lines])
    assert_array_equal(ends.max(axis=(0, 2)), [5.5, 3.5, 4.5])
    assert_array_equal(ends.min(axis=(0, 2)), [-0.5, -0.5, -0.5])


@pytest.mark.parametrize("ax", ["3d"], indirect=True)
def test_a_box_is_the_edges_of_the_grid_its_front_blue_its_first_corner_a_dot(ax, rng):
    xyz = rng.standard_normal((3, 4, 5, 3))
    solids.box(xyz, ax)
    *edges, dot = ax.lines
    drawn = [(np.transpose(e.get_data_3d())[:, [0, 2, 1]], e.get_color()) for e in edges]
    for expected in (xyz[0, 0], xyz[0, :, -1], xyz[:, 0, 0], xyz[:, -1, -1], xyz[-1, :, 0]):
        assert any(len(e) == len(expected) and np.allclose(e, expected) for e, _ in drawn)
    front = [e for e, colour in drawn if colour == plots.BLUE]
    assert all(np.isin(e, xyz[0]).all() for e in front) and len(front) == 12
    assert_array_equal(np.ravel(dot.get_data_3d()), xyz[0, 0, 0, [0, 2, 1]])


def test_signals_are_stacked_over_their_mean_and_the_truth(rng):
    before, after = rng.standard_normal((2, 5, 20, 1))
    truth = after[0]
    figure = solids.straightened(before, after, truth, shown=3)
    left, right, mean_left, mean_right = figure.axes
    assert len(left.lines) == len(right.lines) == 3
    apart = left.lines[0].get_ydata() - left.lines[1].get_ydata()
    assert_allclose(np.diff(apart - (before[0] - before[1])[:, 0]), 0, atol=1e-12)
    for ax, signals in ((mean_left, before), (mean_right, after)):
        assert_allclose(ax.lines[0].get_ydata(), signals.mean(axis=0)[:, 0])
        assert_array_equal(ax.lines[1].get_ydata(), truth[:, 0])
        spread = signals.std(axis=0)[:, 0]
        band = ax.collections[0].get_paths()[0].vertices
        assert np.isclose(band[:, 1].max(), np.max(signals.mean(axis=0)[:, 0] + spread))
    assert mean_left.get_ylim() == mean_right.get_ylim()
    plt.close(figure)


# --- what cannot be ---

RNG = np.random.default_rng(0)
BAD = {
    "no digits": (lambda: extrude(X[:, 1:], Y, RNG), ValueError, "expected (B, 28, 28, 1)"),
    "other labels": (lambda: extrude(X, Y[1:], RNG), ValueError, "labels has shape (9,)"),
    "a seed": (lambda: extrude(X, Y, 3), TypeError, "rng is 3; expected"),
    "no volume": (lambda: some(size=0), ValueError, "size is 0; expected an integer of at least 1"),
    "one slice": (lambda: some(thickness=1), ValueError, "thickness is 1; expected an integer"),
    "half a voxel": (lambda: some(size=0.5), TypeError, "size is 0.5; expected an integer"),
    "no scale": (lambda: some(scale=0), ValueError, "scale is 0; expected more than 0"),
    "no angle": (lambda: some(angle=-1), ValueError, "angle is -1; expected 0 or more"),
    "any angle": (lambda: some(angle=np.inf), ValueError, "angle is inf; expected a finite"),
    "one node": (lambda: pace(1), ValueError, "nodes is 1; expected an integer of at least 2"),
    "maps": (lambda: played(X, RNG), ValueError, "expected (B, W, C)"),
    "a signal's seed": (lambda: played(X[..., 0], 3), TypeError, "rng is 3; expected"),
    "a volume without channels": (
        lambda: solids.slices(np.ones((3, 4, 5)), None, (0,)),
        ValueError,
        "U has shape (3, 4, 5); expected (D, H, W, C)",
    ),
    "a grid of maps": (
        lambda: solids.box(np.ones((4, 5, 2)), None),
        ValueError,
        "xyz has shape (4, 5, 2); expected (D, H, W, 3)",
    ),
    "less than even": (
        lambda: played(X[..., 0], RNG, strength=-1),
        ValueError,
        "strength is -1; expected 0 or more",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_says_what_was_given_and_what_was_expected(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=re.escape(message)):
        call()
