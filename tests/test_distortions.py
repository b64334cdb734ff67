"""Distorted digits: what is drawn, from which ranges, and that the truth is told about each."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import equations as eq
from stn_ref.data import TASKS, Task, digits, distort
from stn_ref.data.distortions import similarity

DIGITS = digits()
ONE_CLASS = DIGITS.x_test[DIGITS.y_test == 3], DIGITS.y_test[DIGITS.y_test == 3]


def some(task, count=60):
    """Digits that a task takes, and their labels."""
    x, y = ONE_CLASS if task.together else (DIGITS.x_test, DIGITS.y_test)
    pick = np.linspace(0, len(x) - 1, count).astype(int)
    return x[pick], y[pick]


def blank(count):
    return np.zeros((count, 28, 28, 1)), np.zeros(count, int)


def drawn(U, size, angle=0.0, scale=1.0, shift=(0, 0)):
    """A digit, turned, scaled and shifted."""
    theta = similarity(np.array([angle]), np.array([scale]), np.array([shift]), size)
    return stn_ref.transform(U[None], theta, transformation=eq.SIMILARITY, size=(size, size))[0]


# --- by hand ---


def test_a_quarter_turn_is_anticlockwise():
    U = DIGITS.x_test[0]
    assert_allclose(drawn(U, 28, angle=np.pi / 2), np.rot90(U), atol=1e-12)


def test_a_digit_twice_as_large_has_its_pixels_two_apart():
    U = DIGITS.x_test[0]
    assert_allclose(drawn(U, 55, scale=2)[::2, ::2], U, atol=1e-12)


def test_a_shifted_digit_is_pasted():
    U, canvas = DIGITS.x_test[0], np.zeros((42, 42, 1))
    canvas[7 - 4 : 35 - 4, 7 + 6 : 35 + 6] = U  # four up and six to the right
    assert_allclose(drawn(U, 42, shift=(6, -4)), canvas, atol=1e-12)


def test_a_blob_lands_where_its_truth_says():
    i, j = np.mgrid[:28, :28]
    blob = np.exp(-((i - 10) ** 2 + (j - 16) ** 2) / 8)
    blob *= blob > 1e-3
    found = distort(
        TASKS["RTS"],
        np.broadcast_to(blob[..., None], (50, 28, 28, 1)),
        np.zeros(50, int),
        np.random.default_rng(0),
    )
    mass = found.images[..., 0] / found.images.sum(axis=(1, 2, 3))[:, None, None]
    centre = np.stack([np.sum(mass * g, axis=(1, 2)) for g in np.mgrid[:42, :42][::-1]], axis=-1)
    cos, sin = np.cos(found.angle[:, 0]), np.sin(found.angle[:, 0])
    x, y = 16 - 13.5, 10 - 13.5
    turned = np.stack([cos * x + sin * y, -sin * x + cos * y], axis=-1)
    assert_allclose(centre, found.place[:, 0] + found.scale * turned, atol=0.05)


def test_minus_the_angle_turns_a_digit_upright():
    x, y = some(TASKS["R"])
    found = distort(TASKS["R"], x, y, np.random.default_rng(0))
    upright = stn_ref.transform(found.images, -found.angle, transformation=eq.ROTATION)
    for a, b in zip(upright, x, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.93


# --- what every task keeps ---


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_dtypes_and_the_unit_range(task, dtype):
    x, y = some(task)
    found = distort(task, x.astype(dtype), y, np.random.default_rng(0))
    C = task.digits
    assert found.images.shape == (60, task.size, task.size, C) and found.images.dtype == dtype
    assert found.images.min() == 0 and 0.7 < found.images.max() <= 1
    assert found.labels.shape == (60,) and found.labels.dtype == np.int64
    assert found.labels.max() < task.classes
    assert found.angle.shape == found.scale.shape == (60, C)
    assert found.place.shape == (60, C, 2) and found.boxes.shape == (60, C, 4)
    assert found.theta.shape == (60, C, *task.transformation.identity().shape)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(task):
    x, y = some(task)
    threads, results = numba.get_num_threads(), []
    try:
        for seed, count in ((1, 1), (1, threads), (2, threads)):
            numba.set_num_threads(count)
            results.append(distort(task, x, y, np.random.default_rng(seed)))
    finally:
        numba.set_num_threads(threads)
    for one, same in zip(results[0], results[1], strict=True):
        assert_array_equal(one, same)
    assert not np.array_equal(results[0].images, results[2].images)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_theta_draws_the_digit_again(task):
    x, y = some(task)
    found = distort(task._replace(patches=0), x, y, np.random.default_rng(0))
    again = stn_ref.transform(
        x, found.theta[:, 0], transformation=task.transformation, size=(task.size, task.size)
    )
    assert_array_equal(found.images[..., :1], again)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_no_digits_give_no_images(task):
    found = distort(task, *blank(0), np.random.default_rng(0))
    assert found.images.shape == (0, task.size, task.size, task.digits)


def test_what_is_given_is_left_as_it_is():
    x, y = blank(4)
    for array in (x, y):
        array.setflags(write=False)
    pool = np.ones((2, 28, 28, 1))
    pool.setflags(write=False)
    distort(TASKS["TC"], x, y, np.random.default_rng(0), clutter=pool)


# --- ranges ---


@pytest.mark.parametrize(
    ("name", "angle", "low", "high", "shift"),
    [
        ("R", 90, 1, 1, 0),
        ("RTS", 45, 0.7, 1.2, 11),
        ("P", 0, 0.75, 1, 0),
        ("E", 0, 0.75, 1, 0),
        ("TC", 0, 1, 1, 16),
        ("addition", 45, 0.7, 1.2, 11),
        ("colocalisation", 0, 1, 1, 28),
        ("colocalisation_cluttered", 0, 1, 1, 28),
    ],
)
def test_draws_fill_their_ranges_and_stay_inside(name, angle, low, high, shift):
    task = TASKS[name]
    found = distort(task, *some(task, 2000), np.random.default_rng(0))
    degrees, middle = np.rad2deg(found.angle), (task.size - 1) / 2
    for values, least, most in (
        (degrees, -angle, angle),
        (found.scale, low, high),
        (found.place - middle, -shift, shift),
    ):
        slack = 0.01 * (most - least)
        assert least <= values.min() <= least + slack and most - slack <= values.max() <= most
        assert abs(values.mean() - (least + most) / 2) <= 3 * slack
    assert_array_equal((found.place - middle) % 1, 0)
    assert found.boxes.min() >= -0.5 and found.boxes.max() <= task.size - 0.5


@pytest.mark.parametrize("name", ["RTS", "TC", "addition", "colocalisation"])
def test_no_ink_is_lost_at_the_edge(name):
    task = TASKS[name]._replace(patches=0, together=False, digits=1)
    x, y = DIGITS.x_train[::3], DIGITS.y_train[::3]
    found = distort(task, x, y, np.random.default_rng(0))
    shift, larger = found.place[:, 0] - (task.size - 1) / 2, task.size + 20
    theta = similarity(found.angle[:, 0], found.scale[:, 0], shift, larger)
    whole = stn_ref.transform(x, theta, transformation=eq.SIMILARITY, size=(larger, larger))
    assert_allclose(found.images.sum(axis=(1, 2, 3)), whole.sum(axis=(1, 2, 3)), rtol=1e-12)


def test_a_digit_that_fits_nowhere_is_put_in_the_middle():
    found = distort(
        Task("large", 28, scale=(2, 2), anywhere=True),
        np.ones((3, 28, 28, 1)),
        np.zeros(3, int),
        np.random.default_rng(0),
    )
    assert_array_equal(found.place, np.full((3, 1, 2), 13.5))


# --- P and E ---


def scaled(found, points):
    """Where the scale alone finds points (K, 2) of the canvas, normalised: on the digit."""
    return points * (41 / 27) / found.scale[:, :, None]


def pulled_corners(found):
    """Where the frame's corners are on the canvas (B, 4, 2), and where they were (4, 2): pixels."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 27 / 41
    H = np.linalg.inv(eq.PROJECTIVE.matrix(found.theta[:, 0]))
    p = np.concatenate([scaled(found, corners), np.ones((len(H), 4, 1))], axis=-1)
    pulled = p @ H.swapaxes(1, 2)
    return pulled[..., :2] / pulled[..., 2:] * 20.5, corners * 20.5


def test_the_corners_of_the_frame_are_pulled_by_five_pixels():
    found = distort(TASKS["P"], *some(TASKS["P"], 900), np.random.default_rng(0))
    pulled, corners = pulled_corners(found)
    pulls = pulled - corners
    assert abs(pulls.mean()) < 0.2
    assert_allclose(pulls.std(axis=0), 5, atol=0.4)
    between = np.corrcoef(pulls.reshape(900, 8).T) - np.eye(8)
    assert np.abs(between).max() < 0.15, "each corner, each coordinate on its own"


def test_a_frame_is_never_folded_or_turned_inside_out():
    task = TASKS["P"]._replace(corners=20)
    pulled, _ = pulled_corners(distort(task, *some(task), np.random.default_rng(0)))
    for corners in pulled:
        for k in range(4):  # the others lie to one side of each of its sides
            a, b, c, d = np.roll(corners, -k, axis=0)
            assert np.linalg.det([b - a, c - a]) > 0 and np.linalg.det([b - a, d - a]) > 0


def test_sixteen_points_of_the_frame_are_bent_by_a_pixel_and_a_half():
    found = distort(TASKS["E"], *some(TASKS["E"], 900), np.random.default_rng(0))
    spline = TASKS["E"].transformation
    points = eq.target_grid((4, 4)).reshape(16, 2) * 27 / 41
    assert_allclose(spline.identity(), points)
    theta = found.theta[:, 0]
    assert_allclose(spline.grid(theta, points[None])[:, 0], theta, atol=1e-12)
    bends = (theta / scaled(found, 1) - points) * 20.5
    assert abs(bends.mean()) < 0.05
    assert_allclose(bends.std(axis=0), 1.5, atol=0.15)
    between = np.corrcoef(bends.reshape(900, 32).T) - np.eye(32)
    assert np.abs(between).max() < 0.15


# --- clutter ---


@pytest.mark.parametrize(("name", "patches"), [("TC", 6), ("colocalisation_cluttered", 16)])
def test_clutter_is_so_many_patches_of_six_by_six_pixels(name, patches):
    x, y = blank(100)
    pool = np.full((3, 28, 28, 1), 1 / 32)
    found = distort(TASKS[name], x, y, np.random.default_rng(0), clutter=pool)
    assert_allclose(found.images.sum(axis=(1, 2, 3)), patches * 36 / 32)
    seen = found.images.max(axis=(0, 3)) > 0
    assert seen[[0, -1]].any(axis=1).all() and seen[:, [0, -1]].any(axis=0).all()


def test_a_patch_is_a_part_of_a_digit_as_it_is():
    pool = np.arange(1, 785).reshape(1, 28, 28, 1) / 784
    x, y = blank(200)
    task = TASKS["TC"]._replace(patches=1)
    found = distort(task, x, y, np.random.default_rng(0), clutter=pool)
    corners = set()
    for image in found.images[..., 0]:
        rows, columns = np.nonzero(image.any(axis=1))[0], np.nonzero(image.any(axis=0))[0]
        patch = image[rows[0] : rows[0] + 6, columns[0] : columns[0] + 6]
        n, m = divmod(round(patch[0, 0] * 784) - 1, 28)
        assert_array_equal(patch, pool[0, n : n + 6, m : m + 6, 0])
        corners.add((n, m))
    assert {n for n, _ in corners} == {m for _, m in corners} == set(range(23))


def test_clutter_is_cut_from_other_digits_of_the_batch():
    x = np.zeros((2, 28, 28, 1))
    x[0] = 1 / 8  # alone in having any ink
    for seed in range(5):
        found = distort(TASKS["TC"], x, np.zeros(2, int), np.random.default_rng(seed))
        assert_allclose(found.images.sum(axis=(1, 2, 3)), [28 * 28 / 8, 6 * 36 / 8])


def test_clutter_is_cut_from_all_the_others():
    grey = 2.0 ** -np.arange(2, 8)
    x = np.broadcast_to(grey[:, None, None, None], (6, 28, 28, 1))
    task, seen = TASKS["TC"]._replace(patches=1), [set() for _ in grey]
    for seed in range(60):
        found = distort(task, x, np.zeros(6, int), np.random.default_rng(seed))
        patches = (found.images.sum(axis=(1, 2, 3)) - 28 * 28 * grey) / 36
        for them, patch in zip(seen, patches, strict=True):
            them.add(round(patch, 9))
    for own, them in zip(grey, seen, strict=True):
        assert them == set(grey) - {own}


def test_sums_are_cut_at_one():
    x, y = blank(50)
    task = TASKS["TC"]._replace(size=28, patches=30)
    found = distort(task, x, y, np.random.default_rng(0), clutter=np.full((1, 28, 28, 1), 0.75))
    assert set(np.unique(found.images)) == {0, 0.75, 1}


# --- addition and co-localisation ---


def test_the_label_of_an_addition_is_the_sum_of_what_is_in_its_channels():
    y = np.arange(100) % 10
    x = np.zeros((100, 28, 28, 1))
    x[:, 8:20, 8:20] = (y[:, None, None, None] + 1) / 10
    found = distort(TASKS["addition"], x, y, np.random.default_rng(0))
    classes = np.round(found.images.max(axis=(1, 2)) * 10).astype(int) - 1
    assert_array_equal(classes[:, 0], y)
    assert_array_equal(found.labels, classes.sum(axis=1))
    assert set(classes[:, 1]) == set(range(10))
    assert abs(np.corrcoef(classes.T)[0, 1]) < 0.3 and TASKS["addition"].classes == 19
    for truth in (found.angle, found.scale, found.place[..., 0]):
        assert abs(np.corrcoef(truth.T)[0, 1]) < 0.3, "each digit has draws of its own"


def test_a_box_is_where_the_digit_was_pasted():
    x, y = some(TASKS["colocalisation"])
    found = distort(TASKS["colocalisation"], x, y, np.random.default_rng(0))
    for image, digit, (left, top, right, bottom) in zip(
        found.images, x, found.boxes[:, 0], strict=True
    ):
        n, m = int(top + 0.5), int(left + 0.5)
        assert (right - left, bottom - top) == (28, 28)
        assert_allclose(image[n : n + 28, m : m + 28], digit, atol=1e-12)


# --- what is not taken ---


@pytest.mark.parametrize(
    ("error", "words", "change"),
    [
        (TypeError, "task is 'RTS'; expected a Task", {"task": "RTS"}),
        (
            ValueError,
            "both has corners and points",
            {"task": Task("both", 42, corners=1, points=1)},
        ),
        (TypeError, "rng is 0; expected a numpy.random.Generator", {"rng": 0}),
        (TypeError, "images has dtype uint8", {"images": np.zeros((4, 28, 28, 1), np.uint8)}),
        (ValueError, r"images has shape \(4, 28, 28\)", {"images": np.zeros((4, 28, 28))}),
        (TypeError, "labels has dtype float64; expected integers", {"labels": np.zeros(4)}),
        (ValueError, r"labels has shape \(3,\); expected \(4,\)", {"labels": np.zeros(3, int)}),
        (ValueError, r"clutter has shape \(4, 8, 8, 1\)", {"clutter": np.zeros((4, 8, 8, 1))}),
        (ValueError, "no other digit", {"images": blank(1)[0], "labels": blank(1)[1]}),
        (ValueError, "no other digit", {"clutter": np.zeros((0, 28, 28, 1))}),
        (
            ValueError,
            r"labels has the classes \[0, 1, 2, 3\]; colocalisation takes one",
            {"task": TASKS["colocalisation"], "labels": np.arange(4)},
        ),
    ],
)
def test_what_is_not_taken_is_said(error, words, change):
    images, labels = blank(4)
    given = {"task": TASKS["TC"], "images": images, "labels": labels}
    given |= {"rng": np.random.default_rng(0)} | change
    with pytest.raises(error, match=words):
        distort(**given)
