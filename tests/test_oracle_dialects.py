"""The oracle's dialects of SciPy, OpenCV, TensorFlow and Torch7, on cases worked by hand."""

import inspect
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import equations as eq
from stn_ref.oracle import check, expected, jax, onnx, opencv, scipy, tensorflow, torch, torch7
from tests.peers import in_bounds, pixels

ROW = np.array([[10.0, 20.0, 30.0, 40.0]])
SAMPLERS = (
    torch.grid_sample,
    onnx.grid_sample,
    jax.map_coordinates,
    scipy.map_coordinates,
    tensorflow.resampler,
    opencv.remap,
    torch7.bilinear_sampler_bhwd,
)


def along(*x):
    """Rows and columns of points in a row."""
    return np.stack([np.zeros(len(x)), np.array(x, float)])


def in_scipy(*x, order=1, mode="constant", cval=-7.0):
    return scipy.map_coordinates(ROW, along(*x), order, mode, cval).tolist()


def test_scipy_does_not_fade_unless_asked():
    assert in_scipy(-0.5, 0, 2.5, 3, 3.5) == [-7, 10, 35, 40, -7]
    assert in_scipy(-0.5, 0, 2.5, 3, 3.5, mode="grid-constant") == [1.5, 10, 35, 40, 16.5]
    assert in_scipy(-1e-16, 3.4, order=0) == [-7, -7]  # outside, though the nearest pixel is not


def test_scipy_rounds_half_up_after_it_folds():
    x = (-3.5, -2.5, -1.5, -0.5, 1.5, 3.5, 4.5, 5.5)
    assert in_scipy(*x, order=0, mode="reflect") == [40, 30, 20, 10, 30, 40, 40, 30]
    assert in_scipy(*x, order=0, mode="mirror") == [40, 40, 30, 20, 30, 30, 30, 20]
    assert in_scipy(*x, order=0, mode="nearest") == [10, 10, 10, 10, 30, 40, 40, 40]


def test_the_last_pixel_is_the_first_again_in_scipys_wrap():
    assert in_scipy(-1, 3, 3.5, 4, 6.5, mode="wrap") == [30, 40, 15, 20, 15]
    assert in_scipy(-1, 3, 3.5, 4, 6.5, mode="grid-wrap") == [40, 40, 25, 10, 35]


@pytest.mark.parametrize("bad", (np.nan, np.inf, -np.inf))
def test_what_is_nowhere_is_cval_in_scipy(bad):
    for mode in ("constant", "reflect", "mirror", "wrap", "grid-wrap"):
        assert in_scipy(bad, mode=mode) == [-7]
        dU, dp = scipy.map_coordinates_backward(np.ones(1), ROW, along(bad), 1, mode, -7.0)
        assert not dU.any() and not dp.any()
    assert np.isnan(in_scipy(bad, mode="nearest")).all()
    assert in_scipy(bad, order=0, mode="nearest") == [40 if bad == np.inf else 10]


def test_opencv_gives_a_lone_border_value_to_the_first_channel():
    image, x, y = np.ones((2, 2, 3)), np.full((1, 2), -9.0), np.zeros((1, 2))
    five = opencv.remap(np.ones((2, 2, 5)), x, y, 1, borderValue=(3, 1, 4, 2))
    assert_array_equal(five[0, 0], [3, 1, 4, 2, 3])  # over and over
    for value, colour in ((5, [5, 0, 0]), ((5, 6), [5, 6, 0]), ((1, 2, 3, 4), [1, 2, 3])):
        found = opencv.remap(image, x, y, opencv.INTER_LINEAR, borderValue=value)
        assert_array_equal(found, [[colour] * 2])
    halfway = opencv.remap(image, x * 0 - 0.5, y, opencv.INTER_LINEAR, borderValue=5)
    assert_array_equal(halfway[0, 0], [3, 0.5, 0.5])


def test_a_border_value_does_not_move_a_point_onto_a_knot():
    row, x = np.array([[10.0, 20.0, 40.0, 40.0]]), np.array([[np.nextafter(0.5, 1)]])
    assert opencv.remap(row, x, 0 * x, opencv.INTER_NEAREST, borderValue=7) == 20
    x = np.array([[-1e-20]])
    found = opencv.remap_backward(np.ones((1, 1)), row, x, 0 * x, 1, borderValue=7)
    assert found[1] == 10 - 7


@pytest.mark.parametrize("border", (0, 7))
def test_opencv_rounds_half_to_even(border):
    x = np.array([[0.5, 1.5, 2.5, 3.5]])
    found = opencv.remap(ROW, x, 0 * x, opencv.INTER_NEAREST, borderValue=border)
    assert_array_equal(found, [[10, 30, 30, border]])
    eight_bits = opencv.remap(np.array([[0, 1, 2, 3]], np.uint8), x, 0 * x, opencv.INTER_LINEAR)
    assert_array_equal(eight_bits, [[0, 2, 2, 2]])  # .5, 1.5, 2.5 and half of 3


def test_opencv_as_shipped_knows_thirty_seconds_of_a_pixel_and_stops_far_out():
    x = np.array([[1 / 64 + 1e-3, 1.01]])
    shipped = opencv.remap(ROW, x, 0 * x, opencv.INTER_LINEAR, as_shipped=True)
    assert_allclose(shipped, [[10 + 10 / 32, 20]])
    assert_allclose(opencv.remap(ROW, x, 0 * x, opencv.INTER_LINEAR), 10 + 10 * x)
    x = np.array([[-17.0]])
    options = (opencv.INTER_CUBIC, opencv.BORDER_WRAP)
    assert opencv.remap(ROW, x, 0 * x, *options) == 40
    assert opencv.remap(ROW, x, 0 * x, *options, as_shipped=True) == 10  # as at −16


def test_integers_have_no_gradient():
    image, x = np.ones((2, 2), np.uint8), np.zeros((1, 1))
    with pytest.raises(TypeError, match="uint8 have no gradient"):
        opencv.remap_backward(x, image, x, x, opencv.INTER_LINEAR)


def test_opencv_differentiates_by_map_one_and_map_two():
    image, x, y = np.array([[0.0, 1.0], [10.0, 11.0]]), np.full((1, 1), 0.5), np.full((1, 1), 0.25)
    found = opencv.remap_backward(np.ones((1, 1)), image, x, y, opencv.INTER_LINEAR, borderValue=3)
    for gradient, truth in zip(
        found, ([[0.375, 0.375], [0.125, 0.125]], [[1]], [[10]]), strict=True
    ):
        assert_array_equal(gradient, truth)


def test_tensorflow_fades_a_tap_at_a_time_and_ends_at_minus_one():
    data, x = np.array([[[[10.0], [20.0], [40.0]]]]), np.array([-1, -0.75, 1, 2, 2.25, 3, np.nan])
    warp = np.stack([x, 0 * np.nan_to_num(x)], axis=-1)[None]
    assert_array_equal(tensorflow.resampler(data, warp)[0, :, 0], [0, 2.5, 20, 40, 30, 0, 0])
    _, dwarp = tensorflow.resampler_backward(np.ones((1, 7, 1)), data, warp)
    assert_array_equal(dwarp[0, :, 0], [0, 10, 20, -40, -40, 0, 0])


def test_tensorflow_takes_points_of_any_rank():
    data, warp = np.ones((2, 3, 4, 5)), np.ones((2, 6, 7, 8, 2))
    assert tensorflow.resampler(data, warp).shape == (2, 6, 7, 8, 5)
    assert tensorflow.resampler(data, warp[:, 0, 0, 0]).shape == (2, 5)
    assert tensorflow.resampler_backward(np.ones((2, 5)), data, warp[:, 0, 0, 0])[1].shape == (2, 2)


def test_torch7_counts_y_before_x():
    image = np.arange(6.0).reshape(1, 2, 3, 1)
    grid = np.array([[[[1.0, 0.0], [-1.0, 1.0], [-1.0, -2.0]]]])
    assert_array_equal(torch7.bilinear_sampler_bhwd(image, grid)[0, 0, :, 0], [4, 2, 0])
    _, dgrid = torch7.bilinear_sampler_bhwd_backward(np.ones((1, 1, 3, 1)), image, grid)
    assert_array_equal(dgrid[0, 0], [[-4 / 2, 1], [3 / 2, -2], [0, 0]])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda f: f.__module__.rpartition(".")[2])
def test_a_gradient_takes_what_its_function_takes(sampler):
    module = inspect.getmodule(sampler)
    backward = getattr(module, f"{sampler.__name__}_backward")
    names, more = (list(inspect.signature(f).parameters) for f in (sampler, backward))
    assert more == ["grad_output", *names]
    assert backward.__doc__ and sampler.__doc__ and backward.__name__.endswith("_backward")


@pytest.mark.parametrize(
    "like",
    (
        partial(tensorflow.resampler),
        partial(torch7.bilinear_sampler_bhwd),
        *(partial(jax.map_coordinates, order=1, mode=mode) for mode in jax.PADDINGS),
        *(
            partial(scipy.map_coordinates, order=k, mode=mode)
            for k in (0, 1)
            for mode in scipy.PADDINGS
        ),
        *(partial(opencv.remap, interpolation=k, borderMode=m) for k in range(3) for m in range(5)),
    ),
    ids=lambda f: " ".join(str(w) for w in (f.func.__module__[15:], *f.keywords.values())),
)
def test_a_dialect_passes_its_own_check(like, rng):
    function, options = like.func, like.keywords
    backward = getattr(inspect.getmodule(function), f"{function.__name__}_backward")
    report = check(
        like, like, backward=partial(backward, **options), dtypes=("float32", "float64"), rng=rng
    )
    report.raise_if_failed()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    (
        (lambda: scipy.map_coordinates(ROW, along(0), 3), ValueError, "order is 3"),
        (lambda: scipy.map_coordinates(ROW, along(0), 1, "edge"), ValueError, "'grid-wrap'"),
        (lambda: scipy.map_coordinates(ROW, along(0)[:1]), ValueError, "expected 2 alike"),
        (lambda: opencv.remap(ROW, ROW, ROW, 4), ValueError, "interpolation is 4"),
        (lambda: opencv.remap(ROW, ROW, ROW, 1, 5), ValueError, "borderMode is 5"),
        (lambda: opencv.remap(ROW, ROW, ROW[0], 1), ValueError, r"\(4,\); expected two"),
        (lambda: opencv.remap(ROW, ROW, ROW, 1, 0, (1,) * 5), ValueError, "four finite"),
        (lambda: opencv.remap(ROW.astype(int), ROW, ROW, 1), TypeError, "int64"),
        (lambda: tensorflow.resampler(ROW, ROW), ValueError, r"\(1, 4\); expected \(B, H"),
        (lambda: tensorflow.resampler(ROW[..., None, None], ROW), ValueError, "warp has shape"),
        (lambda: torch7.bilinear_sampler_bhwd(ROW, ROW), ValueError, "image has shape"),
    ),
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_function_with_options_bound_has_bounds_too():
    bound = partial(scipy.map_coordinates, mode="nearest")
    assert expected(bound, ROW, along(9)).value == 40


BORDERS = {"zeros": 0, "border": 1, "symmetric": 2, "wrap": 3, "reflection": 4}


@pytest.mark.parametrize("backend", ("reference", "cpu"))
@pytest.mark.parametrize("padding", BORDERS)
@pytest.mark.parametrize("kernel", (eq.BILINEAR, eq.keys()), ids=lambda k: k.name)
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_our_own_backends_stay_within_the_bounds(backend, padding, kernel, dtype, rng):
    """OpenCV's rules for taps are section 3's, so its dialect is the one to hold them against."""
    for _ in range(20):
        U = rng.standard_normal((1, *rng.integers(1, 8, 2), 3)).astype(dtype)
        xy = pixels(rng, U.shape[1:3], (1, 4, 5)).astype(dtype)
        dV = rng.standard_normal((1, 4, 5, 3)).astype(dtype)
        V = stn_ref.sample(U, xy, kernel=kernel, padding=padding, backend=backend)
        dU, dxy, _ = stn_ref.sample_backward(
            dV, U, xy, kernel=kernel, padding=padding, backend=backend
        )
        call = U[0], xy[0, ..., 0], xy[0, ..., 1], 1 + (kernel is not eq.BILINEAR), BORDERS[padding]
        assert in_bounds(V[0], expected(opencv.remap, *call)) <= 1
        truths = expected(opencv.remap_backward, dV[0], *call)
        for found, truth in zip((dU[0], dxy[0, ..., 0], dxy[0, ..., 1]), truths, strict=True):
            assert in_bounds(found, truth) <= 1
