"""The oracle on volumes and signals: laws that tie them to images, and cases worked by hand."""

import contextlib
import inspect
import io
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import keys
from stn_ref.oracle import check, expected, jax, onnx, opencv, scipy, strategies, torch
from stn_ref.oracle.bounds import OVERSHOOT, SLOPES
from tests.peers import PADDING_MODES, call
from tests.test_oracle_strategies import drawn

paddings = pytest.mark.parametrize("padding_mode", PADDING_MODES)
aligns = pytest.mark.parametrize("aligned", (True, False), ids=("corners", "edges"))
pixel_dialects = pytest.mark.parametrize(
    ("dialect", "mode"), [(d, m) for d in (jax, scipy) for m in d.PADDINGS]
)


VOLUME, GRID = np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 1, 1, 3))

# volumes and signals are as images


@aligns
@paddings
@pytest.mark.parametrize(
    ("dialect", "mode"),
    ((torch, "bilinear"), (torch, "nearest"), (onnx, "cubic"), (onnx, "linear"), (onnx, "nearest")),
)
def test_a_stack_of_one_image_is_sampled_as_the_image(dialect, mode, padding_mode, aligned):
    rng, options = np.random.default_rng(1), (mode, padding_mode, aligned)
    U, grid, dV = call(rng, np.float64, aligned)
    stack, z = np.stack([U] * 5, axis=2), rng.uniform(-0.2, 0.2, (*grid.shape[:-1], 1))
    there = np.concatenate([grid, z], axis=-1)[:, None]  # far from the first and the last
    V = dialect.grid_sample(stack, there, *options)
    assert_array_equal(V[:, :, 0], dialect.grid_sample(U, grid, *options))
    flat = dialect.grid_sample_backward(dV, U, grid, *options)
    dU, dgrid = dialect.grid_sample_backward(dV[:, :, None], stack, there, *options)
    assert_allclose(dU.sum(axis=2), flat[0], atol=1e-14)
    assert_allclose(dgrid[:, 0], np.concatenate([flat[1], 0 * z], axis=-1), atol=1e-14)


@pixel_dialects
@pytest.mark.parametrize("order", (0, 1))
def test_a_row_is_sampled_as_the_image_of_that_row_alone(dialect, mode, order):
    """And a volume of one plane as that plane; also where points are not finite."""
    rng, options = np.random.default_rng(2), (order, mode, 0.5)
    x = np.concatenate([np.arange(-12, 17) / 2, rng.uniform(-9, 12, 30), [np.nan, np.inf, -np.inf]])
    for shape in ((5,), (1,), (3, 4)):
        image, loss = rng.standard_normal(shape), rng.standard_normal(x.size)
        p = np.stack([x, *(rng.uniform(0, S - 1, x.size) for S in shape[1:])])
        more = np.concatenate([np.zeros((1, x.size)), p])
        V = dialect.map_coordinates(image, p, *options)
        assert_array_equal(V, dialect.map_coordinates(image[None], more, *options))
        few = dialect.map_coordinates_backward(loss, image, p, *options)
        many = dialect.map_coordinates_backward(loss, image[None], more, *options)
        assert_array_equal(few[0], many[0][0])
        assert_array_equal(few[1], many[1][1:])


def test_a_linear_volume_is_read_off_where_the_point_is():
    z, y, x = np.mgrid[:3, :4, :5].astype(float)
    volume, p = 100 * z + 10 * y + x, np.array([[1.5], [0.25], [3.75]])
    for dialect in (jax, scipy):
        assert dialect.map_coordinates(volume, p, 1) == 156.25
        _, dp = dialect.map_coordinates_backward(np.ones(1), volume, p, 1)
        assert_array_equal(dp, [[100], [10], [1]])
    grid = np.array([[[[[2 * 3.75 / 4 - 1, 0.5 / 3 - 1, 0.5]]]]])
    for dialect in (torch, onnx):
        assert_allclose(dialect.grid_sample(volume[None, None], grid, align_corners=1), 156.25)
        loss = np.ones((1, 1, 1, 1, 1))
        _, dgrid = dialect.grid_sample_backward(loss, volume[None, None], grid, align_corners=1)
        assert_allclose(dgrid.ravel(), [1 * 2, 10 * 1.5, 100 * 1])


@pytest.mark.parametrize("dialect", (torch, onnx))
@aligns
def test_the_grid_of_a_volume_is_eq_1_on_its_lattice(dialect, aligned):
    theta, size = np.arange(12.0).reshape(1, 3, 4), (1, 1, 2, 3, 4)
    grid, bound = expected(dialect.affine_grid, theta, size, aligned)
    c = [[-1, 1], [-1, 0, 1], [-1, -1 / 3, 1 / 3, 1]]
    c = c if aligned else [[-1 / 2, 1 / 2], [-2 / 3, 0, 2 / 3], [-3 / 4, -1 / 4, 1 / 4, 3 / 4]]
    dgrid = np.random.default_rng(0).standard_normal(grid.shape)
    dtheta, _ = expected(dialect.affine_grid_backward, dgrid, theta, size, aligned)
    truth = np.zeros((3, 4))
    for k, i, j in np.ndindex(2, 3, 4):
        G = np.array([c[2][j], c[1][i], c[0][k], 1])
        assert_allclose(grid[0, k, i, j], theta[0] @ G, rtol=1e-14)
        truth += np.outer(dgrid[0, k, i, j], G)
    assert_allclose(dtheta[0], truth, rtol=1e-13)
    assert np.all(bound < 1e-13) and bound.shape == grid.shape
    assert_array_equal(dialect.affine_grid(theta, size, aligned), grid)


# torch's volumes are not its images


@pytest.mark.parametrize("mode", ("bilinear", "nearest"))
def test_a_lost_point_is_outside_or_the_last_pixel_of_a_volume(mode):
    """In torch 2.13 on the CPU; −∞ with border is the first."""
    row = np.array([10.0, 20, 40]).reshape(1, 1, 1, 1, 3)
    grid = np.zeros((1, 1, 1, 3, 3))
    grid[..., 0] = np.nan, np.inf, -np.inf
    for padding_mode, values in (
        ("zeros", [0, 0, 0]),
        ("border", [40, 40, 10]),
        ("reflection", [40, 40, 40]),
    ):
        for aligned in (True, False):
            options = (mode, padding_mode, aligned)
            assert_array_equal(torch.grid_sample(row, grid, *options).ravel(), values)
            _, dgrid = torch.grid_sample_backward(np.ones((1, 1, 1, 1, 3)), row, grid, *options)
            assert not dgrid.any()


def test_as_shipped_many_folds_are_an_even_number():
    """Measured: torch 2.13 gives 30 where 3·10⁹ + 1 folds lead to 15."""
    row, grid = np.array([10.0, 20, 40]).reshape(1, 1, 1, 1, 3), np.zeros((1, 1, 1, 1, 3))
    grid[..., 0] = 6000000002.5
    options = {"padding_mode": "reflection", "align_corners": True}
    assert torch.grid_sample(row, grid, **options) == 15
    assert torch.grid_sample(row, grid, **options, as_shipped=True) == 30


def test_as_shipped_half_precision_doubles_and_drops_pixels():
    """Measured: torch 2.13 gives 1, 2, 0 and 0 at the pixels 2028, 2284, 2542 and 4095 of ones."""
    ones, grid = np.ones((1, 1, 1, 1, 4096), np.float16), np.zeros((1, 1, 1, 4, 3), np.float16)
    grid[..., 0] = -0.01, 0.1163, 0.2426, 1
    options = {"padding_mode": "border", "align_corners": True}
    assert_array_equal(torch.grid_sample(ones, grid, **options).ravel(), 1)
    shipped = torch.grid_sample(ones, grid, **options, as_shipped=True)
    assert_array_equal(shipped.ravel(), [1, 2, 0, 0])
    short, few = np.array([1, 2, 4], np.float16).reshape(1, 1, 1, 1, 3), grid[:, :, :, 1:]
    loss, options = np.ones((1, 1, 1, 1, 3), np.float16), options | {"as_shipped": True}
    _, dgrid = torch.grid_sample_backward(loss, short, few, **options)
    assert_array_equal(dgrid[..., 0].ravel(), [2, 2, 0])  # the last pixel of a border is outside


@pytest.mark.parametrize(
    ("call", "message"),
    (
        (
            lambda: torch.grid_sample(
                np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 1, 1, 3)), "bicubic"
            ),
            "mode is 'bicubic'; expected one of 'bilinear', 'nearest'$",
        ),
        (
            lambda: torch.grid_sample(VOLUME, GRID[..., :2]),
            r"expected \(1, D', H', W', 3\)",
        ),
        (
            lambda: torch.grid_sample(np.ones((1, 1, 2)), np.ones((1, 1, 1))),
            r"\(1, 1, 2\); expected \(N, C, H, W\) or \(N, C, D, H, W\)",
        ),
        (
            lambda: onnx.grid_sample(np.ones((1, 1, 2)), np.ones((1, 1, 2))),
            r"expected \(1, W', 1\)",
        ),
        (
            lambda: torch.affine_grid(np.ones((1, 2, 3)), (1, 1, 2, 2, 2)),
            r"\(N, 3, 4\) and \(N, C, D', H', W'\)",
        ),
        (
            lambda: scipy.map_coordinates(np.ones((2, 2, 2)), np.ones((2, 5))),
            r"\[\(5,\), \(5,\)\]; expected 3 alike",
        ),
        (lambda: jax.map_coordinates(np.ones((2, 2, 2, 2)), np.ones((4, 5)), 1), "no side 0"),
        (lambda: scipy.map_coordinates(np.ones((2, 0, 2)), np.ones((3, 5))), "no side 0"),
        (
            lambda: check(np.add, opencv.remap, axes=3, rng=None),
            r"axes is 3; stn_ref.oracle.opencv.remap samples along 2",
        ),
        (lambda: check(np.add, axes=1, rng=None), "grid_sample samples along 2 or 3"),
        (lambda: check(np.add, axes=2.0, rng=None), "axes is 2.0; expected 1, 2 or 3"),
    ),
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# bounds


def test_the_weights_and_slopes_of_an_axis_sum_to_no_more():
    kernel, t = keys(-0.75), np.linspace(0, 1, 1001)[:, None] - np.arange(-1, 3)
    k, dk = (abs(f(t, kernel.Phi)).sum(axis=1).max() for f in (kernel.k, kernel.dk))
    assert k**2 <= OVERSHOOT["keys"] < 1.1 * k**2 and dk <= SLOPES["keys"] < 1.1 * dk


def trilinear(U, grid, order=(0, 1, 2)):
    """Zeros, edges not aligned, in the images' precision; axes in some order."""
    one, sizes = U.dtype.type(1), U.shape[:1:-1]
    V = np.zeros((*U.shape[:2], *grid.shape[1:-1]), U.dtype)
    xyz = [
        ((grid[..., a] + one) * U.dtype.type(S) - one) / U.dtype.type(2)
        for a, S in zip(order, sizes, strict=True)
    ]
    for l, n, m in np.ndindex(*U.shape[2:]):
        k = one
        for x, pixel in zip(xyz, (m, n, l), strict=True):
            k = k * np.maximum(0, one - abs(x - U.dtype.type(pixel)))
        V += U[:, :, l, n, m, None, None, None] * k[:, None]
    return V


@pytest.mark.parametrize("dtype", (np.float16, np.float32))
def test_a_correct_evaluation_is_within_the_bound_and_a_mistake_is_not(dtype):
    caught = []
    for seed in range(12):
        U, grid, _ = call(np.random.default_rng(seed), dtype, False, least=2, axes=3)
        value, bound = expected(torch.grid_sample, U, grid)
        assert np.all(abs(trilinear(U, grid) - value) <= bound)
        caught.append(np.any(abs(trilinear(U, grid, (2, 1, 0)) - value) > bound))
        assert bound.max() < 300 * np.finfo(dtype).eps * abs(U).max()
    assert np.mean(caught) > 0.7


# check, strategies


@pytest.mark.parametrize(
    ("like", "axes"),
    (
        *(
            (partial(torch.grid_sample, mode=m, padding_mode="reflection"), 3)
            for m in ("bilinear", "nearest")
        ),
        (partial(onnx.grid_sample, mode="cubic", padding_mode="border"), 1),
        (partial(onnx.grid_sample, mode="nearest", padding_mode="reflection"), 3),
        (partial(jax.map_coordinates, order=1, mode="wrap"), 3),
        (partial(scipy.map_coordinates, order=0, mode="mirror"), 1),
        (partial(scipy.map_coordinates, order=1), 3),
    ),
    ids=lambda a: (
        " ".join(map(str, (a.func.__module__[15:], *a.keywords.values()))) if callable(a) else a
    ),
)
def test_a_dialect_passes_its_own_check(like, axes, rng):
    module = inspect.getmodule(like.func)
    backward = partial(getattr(module, f"{like.func.__name__}_backward"), **like.keywords)
    dtypes = ("float16", "float32") if like.func is torch.grid_sample else ("float32",)
    check(like, like, backward=backward, axes=axes, dtypes=dtypes, rng=rng).raise_if_failed()


def test_swapped_axes_of_a_volume_are_found_and_pasted_with_all_taps(rng):
    def wrong(U, grid):
        return torch.grid_sample(U, grid[..., [2, 1, 0]].copy())

    report = check(wrong, axes=3, rng=rng)
    assert "random" in {failure.family for failure in report.failures}
    _, code, taps = report.paste.split("\n\n")
    scope = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, scope)
    value, bound = expected(torch.grid_sample, scope["input"], scope["grid"])
    assert abs(wrong(scope["input"], scope["grid"]) - value) > bound
    head, *rows, total = taps.splitlines()[1:]
    assert head.split() == ["l", "n", "m", "U", "k(x−m)", "k(y−n)", "k(z−l)", *["U", "k", "k", "k"]]
    assert 1 <= len(rows) <= 8
    assert_allclose(float(total.split()[-1]), value.item(), atol=1e-5)


def test_a_plane_that_is_skipped_is_found_on_volumes_only(rng):
    """As a kernel that strides wrongly from plane to plane."""

    def wrong(U, grid):
        if U.ndim == 5:
            U = np.concatenate([U[:, :, 1:], U[:, :, :1]], axis=2)
        return torch.grid_sample(U, grid)

    assert check(wrong, rng=rng).ok and not check(wrong, axes=3, rng=rng).ok


def test_one_thread_block_of_a_signal_is_not_enough(rng):
    def first_block(X, grid):
        V = np.ascontiguousarray(onnx.grid_sample(X, grid))
        V.reshape(-1)[1024:] = 0
        return V

    report = check(first_block, onnx.grid_sample, axes=1, rng=rng)
    assert {failure.family for failure in report.failures} == {"many"}


@pytest.mark.parametrize(
    ("sampler", "axes"),
    [(f, a) for f in (onnx.grid_sample, jax.map_coordinates, scipy.map_coordinates) for a in (1, 3)]
    + [(torch.grid_sample, 3)],
)
def test_every_call_is_valid_and_what_it_gives_is_expected(sampler, axes):
    calls = drawn(strategies.calls(sampler, axes=axes, strange=True), 40)
    for arguments, options in calls:
        images = arguments[0]
        assert images.ndim == axes + 2 * (sampler.__name__ == "grid_sample")
        found = sampler(*arguments, **options)
        value, bound = expected(sampler, *arguments, **options)
        assert np.all((abs(found - value) <= bound) | (np.isnan(found) & np.isnan(value)))
    seen = {options.get("mode") for _, options in calls}
    assert sampler is not torch.grid_sample or seen == {None, "bilinear", "nearest"}


def test_a_sampler_of_images_draws_no_volumes():
    for strategy in (strategies.options, strategies.calls):
        with pytest.raises(ValueError, match="samples along 2"):
            drawn(strategy(opencv.remap, axes=3), 1)
