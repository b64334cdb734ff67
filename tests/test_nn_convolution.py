"""Convolution and pooling: their sums as written, and what their gradients have to be."""

import numba
import numpy as np
import pytest

from stn_ref import check_gradients
from stn_ref.nn import AveragePool2d, Conv2d, MaxPool2d
from stn_ref.nn.layer import backward_to_params
from stn_ref.nn.trees import cast

# (H, W, C), filters, size, stride, padding
CASES = [
    ((5, 7, 1), 1, 1, 1, 0),
    ((6, 4, 1), 2, 2, 1, 1),
    ((7, 9, 3), 5, 3, 1, 0),
    ((6, 5, 9), 17, 3, 1, 2),
    ((9, 7, 1), 3, 5, 1, 1),
    ((5, 8, 3), 2, 4, 1, 0),
    ((8, 6, 3), 4, 2, 2, 0),
    ((7, 10, 1), 33, 3, 2, 1),
    ((9, 5, 9), 2, 5, 2, 2),
    ((10, 7, 3), 3, 2, 3, 0),
    ((8, 11, 1), 2, 1, 3, 1),
    ((7, 8, 9), 3, 4, 3, 2),
]
BATCH = 3


def made(rng, case, dtype=np.float64):
    shape, filters, size, stride, padding = case
    layer = Conv2d(filters, size, stride=stride, padding=padding)
    params, out = layer.initialise(rng, shape)
    x = rng.standard_normal((BATCH, *shape)).astype(dtype)
    return layer, cast(params, dtype), x, (BATCH, *out)


def naive(params, x, stride, padding):
    """y_ij^f = Σ_a Σ_e Σ_c x_{si+a, sj+e}^c W_ae^cf + b^f, one number after another."""
    W, b = params["W"], params["b"]
    k, _, C, F = W.shape
    B, H, width, _ = x.shape
    h, w = ((n + 2 * padding - k) // stride + 1 for n in (H, width))
    y = np.zeros((B, h, w, F))
    for i, j, a, e in np.ndindex(h, w, k, k):
        n, m = stride * i + a - padding, stride * j + e - padding
        if 0 <= n < H and 0 <= m < width:
            for c, f in np.ndindex(C, F):
                y[:, i, j, f] += x[:, n, m, c] * W[a, e, c, f]
    return y + b


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_equals_the_sum_as_written(case, dtype):
    layer, params, x, shape = made(np.random.default_rng(0), case, dtype)
    y, _ = layer.forward(params, x)
    assert y.shape == shape and y.dtype == dtype
    terms = layer.size**2 * x.shape[3] + 1
    bound = naive(mapped_abs(params), abs(x), layer.stride, layer.padding)
    exact = naive(cast(params, float), x.astype(float), layer.stride, layer.padding)
    assert np.all(abs(y - exact) <= 2 * terms * np.finfo(dtype).eps * bound)


def mapped_abs(params):
    return {name: abs(value).astype(float) for name, value in params.items()}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradients_are_those_of_differences(case):
    rng = np.random.default_rng(1)
    layer, params, x, _ = made(rng, case)

    def f(x, W, b):
        return layer.forward({"W": W, "b": b}, x)[0]

    def f_backward(dy, x, W, b):
        dx, dparams = layer.backward(dy, layer.forward({"W": W, "b": b}, x)[1])
        return dx, dparams["W"], dparams["b"]

    report = check_gradients(f, f_backward, x, params["W"], params["b"], rng=rng, tolerance=1e-6)
    report.raise_if_wrong()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_way_back_is_the_adjoint(case):
    """Without b, y is linear in x and in W: ⟨dy, y⟩ = ⟨dx, x⟩ = ⟨dW, W⟩."""
    rng = np.random.default_rng(2)
    layer, params, x, shape = made(rng, case)
    y, cache = layer.forward({"W": params["W"], "b": np.zeros(layer.filters)}, x)
    dy = rng.standard_normal(shape)
    dx, dparams = layer.backward(dy, cache)
    scale = abs(dy * y).sum()
    assert dx.shape == x.shape
    assert abs((dy * y).sum() - (dx * x).sum()) <= 1e-12 * scale
    assert abs((dy * y).sum() - (dparams["W"] * params["W"]).sum()) <= 1e-12 * scale
    np.testing.assert_allclose(dparams["b"], dy.sum(axis=(0, 1, 2)), rtol=1e-12)


def test_sums_longer_than_a_panel_are_whole():
    """Of 1024 in a row, of 2048 beside each other, and of 6 in a tile there is always one more."""
    rng = np.random.default_rng(3)
    layer = Conv2d(33, 5)
    params, out = layer.initialise(rng, (27, 31, 43))
    x, dy = rng.standard_normal((4, 27, 31, 43)), rng.standard_normal((4, *out))
    most = numba.get_num_threads()
    try:
        numba.set_num_threads(1)  # which then has them all to itself
        y, cache = layer.forward(params, x)
        dx, dparams = layer.backward(dy, cache)
    finally:
        numba.set_num_threads(most)
    tap = (slice(None), slice(2, 25), slice(3, 30))
    every = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(1, 2))
    np.testing.assert_allclose(
        y, np.einsum("bijcae,aecf->bijf", every, params["W"], optimize=True) + params["b"]
    )
    np.testing.assert_allclose(
        dparams["W"][2, 3], np.einsum("bijc,bijf->cf", x[tap], dy, optimize=True), atol=1e-10
    )
    assert abs((dx * x).sum() - (dy * (y - params["b"])).sum()) <= 1e-9 * abs(dy * y).sum()


@pytest.mark.parametrize("case", CASES[3:8], ids=str)
def test_any_layout_of_the_arguments_gives_the_same_bits(case):
    rng = np.random.default_rng(4)
    layer, params, x, shape = made(rng, case, np.float32)
    dy = rng.standard_normal(shape).astype(np.float32)

    def step(params, x, dy):
        y, cache = layer.forward(params, x)
        dx, dparams = layer.backward(dy, cache)
        return y, dx, dparams["W"], dparams["b"]

    def spread(array):
        wide = np.zeros([2 * n for n in array.shape], array.dtype)
        wide[tuple(slice(None, None, 2) for _ in array.shape)] = array
        view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
        view.flags.writeable = False
        return view

    def backwards(array):
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]

    def swapped(array):
        return array.astype(array.dtype.newbyteorder(">"))

    plain = step(params, x, dy)
    for layout in (spread, backwards, np.asfortranarray, swapped):
        other = step({k: layout(v) for k, v in params.items()}, layout(x), layout(dy))
        for a, b in zip(plain, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_nothing_that_is_passed_in_is_changed():
    rng = np.random.default_rng(5)
    for case in (CASES[2], CASES[3]):
        layer, params, x, shape = made(rng, case)
        dy = rng.standard_normal(shape)
        before = [a.copy() for a in (x, dy, params["W"], params["b"])]
        layer.backward(dy, layer.forward(params, x)[1])
        for a, b in zip(before, (x, dy, params["W"], params["b"]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_number_of_threads_changes_no_bit():
    """In y, dx and dW, which are ours; Σ dy is BLAS's."""
    rng = np.random.default_rng(6)
    layer = Conv2d(20, 5, padding=1)
    params = cast(layer.initialise(rng, (13, 12, 9))[0], np.float32)
    x = rng.standard_normal((13, 13, 12, 9)).astype(np.float32)
    dy = rng.standard_normal((13, 11, 10, 20)).astype(np.float32)
    most, results = numba.get_num_threads(), []
    try:
        for threads in {1, most}:
            numba.set_num_threads(threads)
            y, cache = layer.forward(params, x)
            dx, dparams = layer.backward(dy, cache)
            results.append((y, dx, dparams["W"]))
    finally:
        numba.set_num_threads(most)
    for a, b in zip(results[0], results[-1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_gradient_at_the_params_needs_none_at_the_images():
    rng = np.random.default_rng(7)
    layer, params, x, shape = made(rng, CASES[6])
    _, cache = layer.forward(params, x)
    dy = rng.standard_normal(shape)
    _, dparams = layer.backward(dy, cache)
    for name, value in backward_to_params(layer, dy, cache).items():
        np.testing.assert_array_equal(value, dparams[name])


def test_an_image_in_a_batch_is_as_alone():
    rng = np.random.default_rng(8)
    layer, params, x, shape = made(rng, CASES[2])
    dy = rng.standard_normal(shape)
    y, cache = layer.forward(params, x)
    dx, _ = layer.backward(dy, cache)
    for b in range(BATCH):
        y_b, cache = layer.forward(params, x[b : b + 1])
        np.testing.assert_array_equal(y_b[0], y[b])
        np.testing.assert_array_equal(layer.backward(dy[b : b + 1], cache)[0][0], dx[b])


def test_an_empty_batch_is_a_batch():
    for layer in (Conv2d(4, 3, padding=1), MaxPool2d(2), AveragePool2d(2)):
        params, out = layer.initialise(np.random.default_rng(9), (6, 8, 2))
        y, cache = layer.forward(params, np.zeros((0, 6, 8, 2)))
        dx, dparams = layer.backward(y, cache)
        assert y.shape == (0, *out) and dx.shape == (0, 6, 8, 2)
        assert not dparams or not (dparams["W"].any() or dparams["b"].any())


def test_the_wider_dtype_wins():
    rng = np.random.default_rng(10)
    layer, params, x, shape = made(rng, CASES[2], np.float32)
    y, cache = layer.forward(cast(params, np.float64), x)
    dx, dparams = layer.backward(np.zeros(shape), cache)
    assert y.dtype == dx.dtype == dparams["W"].dtype == dparams["b"].dtype == np.float64


def test_first_weights_are_within_the_fan_in():
    params, out = Conv2d(50, 3, stride=2).initialise(np.random.default_rng(11), (8, 11, 4))
    assert out == (3, 5, 50)
    assert params["W"].shape == (3, 3, 4, 50) and params["b"].shape == (50,)
    for value in params.values():
        assert 0.9 / 6 < abs(value).max() <= 1 / 6


def test_a_bad_argument_says_what_was_given_and_what_was_expected():
    rng = np.random.default_rng(12)
    layer, params, x, shape = made(rng, CASES[2])
    _, cache = layer.forward(params, x)
    W, b = params["W"], params["b"]

    def expect(error, message, f, *arguments):
        with pytest.raises(error, match=message):
            f(*arguments)

    expect(
        ValueError, r"x has shape \(3, 7, 9, 2\); expected .*3\)", layer.forward, params, x[..., :2]
    )
    expect(ValueError, r"x has shape \(7, 9, 3\)", layer.forward, params, x[0])
    expect(TypeError, "x has dtype int64", layer.forward, params, x.astype(int))
    expect(TypeError, "x has dtype float16; expected float32", layer.forward, params, x.astype("e"))
    expect(ValueError, r"W has shape \(2, 3, 3, 5\); expected \(3, 3, C, 5\)",
           layer.forward, {"W": W[1:], "b": b}, x)  # fmt: skip
    expect(ValueError, r"b has shape \(4,\); expected \(5,\)",
           layer.forward, {"W": W, "b": b[1:]}, x)  # fmt: skip
    expect(ValueError, r"Conv2d\(.*\) does not fit into an input of 2 by 9",
           layer.forward, params, x[:, :2])  # fmt: skip
    expect(ValueError, r"does not fit into an input of 7 by 2", layer.initialise, rng, (7, 2, 3))
    expect(ValueError, r"takes \(H, W, C\); its input has shape", layer.initialise, rng, (7,))
    for backward in (layer.backward, layer.backward_to_params):
        expect(ValueError, r"dy has shape \(3, 4, 7, 5\); expected \(3, 5, 7, 5\)",
               backward, np.zeros(shape)[:, 1:], cache)  # fmt: skip
    for name, least in (("filters", 1), ("size", 1), ("stride", 1), ("padding", 0)):
        given = {"filters": 2, "size": 3, name: least - 1}
        expect(
            ValueError,
            f"{name} is {least - 1}; expected an integer of at least {least}",
            lambda g: Conv2d(**g),
            given,
        )
        expect(
            TypeError,
            f"{name} is 1.5; expected an integer",
            lambda g: Conv2d(**g),
            given | {name: 1.5},
        )
    if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps:
        expect(TypeError, "expected float32 or float64", layer.forward, params, x.astype("g"))


@pytest.mark.parametrize("pool", [MaxPool2d, AveragePool2d])
def test_a_bad_argument_of_a_pool_says_what_was_given_and_what_was_expected(pool):
    layer, rng = pool(2), np.random.default_rng(13)
    _, cache = layer.forward((), np.zeros((3, 4, 6, 1)))
    for call, message in [
        (lambda: pool(0), "size is 0; expected an integer of at least 1"),
        (
            lambda: layer.initialise(rng, (1, 4, 2)),
            r"does not fit into an input of shape \(1, 4, 2\)",
        ),
        (lambda: layer.initialise(rng, (4,)), r"takes \(H, W, C\); its input has shape \(4,\)"),
        (
            lambda: layer.forward((), np.zeros((4, 4, 1))),
            r"x has shape .*; expected \(B, H, W, C\)",
        ),
        (
            lambda: layer.backward(np.zeros((3, 1, 3, 1)), cache),
            r"dy has .*; expected \(3, 2, 3, 1\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("pool, best", [(MaxPool2d, np.max), (AveragePool2d, np.mean)])
def test_a_pool_is_one_number_for_each_square(pool, best, size):
    x = np.random.default_rng(14).standard_normal((2, 7, 9, 3))
    y, _ = pool(size).forward((), x)
    assert pool(size).initialise(None, (7, 9, 3)) == ((), y.shape[1:])
    assert y.shape == (2, 7 // size, 9 // size, 3)
    for b, i, j, c in np.ndindex(y.shape):
        square = x[b, i * size : (i + 1) * size, j * size : (j + 1) * size, c]
        assert y[b, i, j, c] == pytest.approx(best(square), rel=1e-14)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("pool", [MaxPool2d, AveragePool2d])
def test_the_gradients_of_a_pool_are_those_of_differences(pool, size):
    rng, layer = np.random.default_rng(15), pool(size)
    x = rng.permutation(2.0 * 7 * 8 * 3 * np.linspace(0, 1, 2 * 7 * 8 * 3)).reshape(2, 7, 8, 3)

    def f_backward(dy, x):
        return layer.backward(dy, layer.forward((), x)[1])[0]

    def nearest(*_):  # two numbers are a unit apart at least, a direction moves each by one at most
        return 0.4

    f = lambda x: layer.forward((), x)[0]  # noqa: E731
    check_gradients(f, f_backward, x, rng=rng, knots=nearest, tolerance=1e-6).raise_if_wrong()


def test_the_gradient_goes_to_the_first_of_several_maxima():
    squares = np.array([[[1, 1], [1, 1]], [[0, 1], [1, 1]], [[0, 0], [1, 1]], [[0, 0], [0, 1]]])
    layer, dy = MaxPool2d(2), np.full((4, 1, 1, 1), 5.0)
    dx, _ = layer.backward(dy, layer.forward((), squares[..., np.newaxis].astype(float))[1])
    assert [int(np.flatnonzero(d)[0]) for d in dx] == [0, 1, 2, 3]
    np.testing.assert_array_equal(dx.sum(axis=(1, 2, 3)), 5)


def test_squares_may_have_more_pixels_than_a_byte_counts():
    x = np.zeros((1, 17, 17, 1), np.float32)
    x[0, 16, 15] = 1
    layer = MaxPool2d(17)
    y, cache = layer.forward((), x)
    dx, _ = layer.backward(y, cache)
    assert dx.dtype == np.float32
    np.testing.assert_array_equal(dx, x)


@pytest.mark.parametrize("pool", [MaxPool2d, AveragePool2d])
def test_rows_and_columns_left_over_are_dropped(pool):
    rng, layer = np.random.default_rng(16), pool(3)
    x = rng.standard_normal((2, 8, 7, 2))
    y, cache = layer.forward((), x)
    dx, _ = layer.backward(np.ones_like(y), cache)
    same, _ = layer.forward((), x[:, :6, :6])
    np.testing.assert_array_equal(y, same)
    assert dx.shape == x.shape and not dx[:, 6:].any() and not dx[:, :, 6:].any()
    np.testing.assert_allclose(dx.sum(axis=(1, 2)), 4, rtol=1e-14)


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(17)
    for case in CASES:
        layer, params, x, shape = made(rng, case)
        dy = rng.standard_normal(shape)
        y, cache = layer.forward(params, x)
        dx, dparams = layer.backward(dy, cache)
        X, dY = (torch.from_numpy(a.transpose(0, 3, 1, 2).copy()) for a in (x, dy))
        W = torch.from_numpy(params["W"].transpose(3, 2, 0, 1).copy()).requires_grad_()
        b = torch.from_numpy(params["b"]).requires_grad_()
        X.requires_grad_()
        Y = torch.nn.functional.conv2d(X, W, b, stride=layer.stride, padding=layer.padding)
        dX, dW, db = torch.autograd.grad(Y, (X, W, b), dY)
        theirs = (
            Y.detach().permute(0, 2, 3, 1),
            dX.permute(0, 2, 3, 1),
            dW.permute(2, 3, 1, 0),
            db,
        )
        for ours, other in zip((y, dx, dparams["W"], dparams["b"]), theirs, strict=True):
            np.testing.assert_allclose(ours, other.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_the_pools_of_torch_agree(name):
    torch = pytest.importorskip("torch")
    layer = {"max_pool2d": MaxPool2d, "avg_pool2d": AveragePool2d}[name](2)
    x = np.random.default_rng(18).integers(0, 3, (2, 7, 9, 3)).astype(float)  # many equal ones
    X = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    Y = getattr(torch.nn.functional, name)(X, 2)
    y, cache = layer.forward((), x)
    dy = np.random.default_rng(19).standard_normal(y.shape)
    (dX,) = torch.autograd.grad(Y, X, torch.from_numpy(dy.transpose(0, 3, 1, 2).copy()))
    np.testing.assert_array_equal(y, Y.detach().permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(layer.backward(dy, cache)[0], dX.permute(0, 2, 3, 1).numpy())
