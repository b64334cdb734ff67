"""Bad input is a ValueError or a TypeError that says what was given and what was expected."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import stn_ref
from stn_ref import backends
from stn_ref import equations as eq

U, XY = np.ones((2, 5, 6, 1)), np.ones((2, 3, 4, 2))
DV, THETA = np.ones((2, 3, 4, 1)), np.ones((2, 2, 3))
G = eq.target_grid((3, 4))
SIGNAL, VOLUME = np.ones((2, 5, 1)), np.ones((2, 3, 4, 5, 1))


def sample(U=U, xy=XY, **options):
    return lambda: stn_ref.sample(U, xy, **options)


def backward(dV=DV, U=U, xy=XY, **options):
    return lambda: stn_ref.sample_backward(dV, U, xy, **options)


def transform(U=U, theta=THETA, **options):
    return lambda: stn_ref.transform(U, theta, **options)


def transform_backward(dV=DV, U=U, theta=THETA, **options):
    return lambda: stn_ref.transform_backward(dV, U, theta, **options)


CASES = {
    "rank of U": (sample(U[0, 0]), ValueError, "U has shape (6, 1); expected (B, H, W, C)"),
    "integer U": (sample(U.astype(int)), TypeError, "U has dtype int64; expected float32"),
    "half U": (sample(U.astype(np.float16)), TypeError, "np.asarray(…).astype(np.float64)"),
    "boolean U": (sample(U > 0), TypeError, "U has dtype bool"),
    "complex U": (sample(U * 1j), TypeError, "U has dtype complex128"),
    "object U": (sample(U.astype(object)), TypeError, "U has dtype object"),
    "empty plane": (sample(U[:, :0]), ValueError, "U has shape (2, 0, 6, 1); H and W must be"),
    "xy's last axis": (sample(xy=np.ones((2, 3, 4, 3))), ValueError, "last axis 2, (x, y)"),
    "xy's rank": (sample(xy=XY[0]), ValueError, "xy has shape (3, 4, 2); expected (B, H', W', 2)"),
    "xy's batch": (sample(xy=XY[:1]), ValueError, "xy has batch 1 and U has 2"),
    "xy's dtype": (sample(xy=XY.astype(int)), TypeError, "xy has dtype int64"),
    "kernel by name": (sample(kernel="bilinear"), TypeError, "kernel is 'bilinear'"),
    "three kernels": (sample(kernel=(eq.BILINEAR,) * 3), TypeError, "one an axis, (x, y)"),
    "padding": (sample(padding="mirror"), ValueError, "padding is 'mirror'; expected one of"),
    "padding's type": (sample(padding=None), ValueError, "padding is None"),
    "fill under zeros": (sample(fill=1.0), ValueError, "fill is 1.0 with padding='zeros'"),
    "fill's type": (sample(fill="0"), TypeError, "fill is '0'; expected a number"),
    "backend": (sample(backend="gpu"), ValueError, "backend is 'gpu'; expected one of"),
    "deterministic": (sample(deterministic="no"), TypeError, "deterministic is 'no'"),
    "dV's shape": (backward(DV[:, :2]), ValueError, "dV has shape (2, 2, 4, 1); expected (2, 3, 4"),
    "dV's dtype": (
        backward(DV.astype(np.float32)),
        TypeError,
        "cast dV with dV.astype(np.float64)",
    ),
    "tie": (backward(tie="both"), ValueError, "tie is 'both'; expected one of 'right', 'left'"),
    "paper's tie": (backward(tie="paper", kernel=eq.keys()), ValueError, "needs kernel=BILINEAR"),
    "theta's shape": (transform(theta=THETA[:, 0]), ValueError, "expected (B, 2, 3)"),
    "theta's batch": (transform(theta=THETA[:1]), ValueError, "theta has batch 1 and U has 2"),
    "theta's dtype": (transform(theta=THETA.astype(int)), TypeError, "theta has dtype int64"),
    "one parameter": (
        transform(theta=np.ones(2), transformation=eq.ROTATION),
        ValueError,
        "theta has shape (2,); expected (B, 1)",
    ),
    "size's form": (transform(size=5), TypeError, "size is 5; expected two integers"),
    "size's type": (transform(size=(2.0, 3)), TypeError, "size is (2.0, 3)"),
    "negative size": (transform(size=(-1, 3)), ValueError, "each must be at least 0"),
    "corners": (transform(align_corners="false"), TypeError, "align_corners is 'false'"),
    "dV's channels": (transform_backward(np.ones((2, 3, 4, 2))), ValueError, "dV has shape"),
    "dV's precision": (transform_backward(DV.astype("f4")), TypeError, "dV has dtype float32"),
    "G's shape": (lambda: eq.AFFINE.grid(THETA, G[0]), ValueError, "G has shape (4, 2)"),
    "G's batch": (
        lambda: eq.AFFINE.grid(THETA, np.stack([G] * 3)),
        ValueError,
        "G has batch 3 and theta has 2",
    ),
    "attention's theta": (lambda: eq.ATTENTION.grid(THETA, G), ValueError, "expected (B, 3)"),
    "dgrid's shape": (
        lambda: eq.AFFINE.grid_backward(XY[:, :2], THETA, G),
        ValueError,
        "dgrid has shape",
    ),
    "lattice": (lambda: eq.target_grid((3, 4, 5, 6)), TypeError, "size is (3, 4, 5, 6)"),
    "pixels": (lambda: eq.to_pixels(XY, (0, 3)), ValueError, "each must be at least 1"),
    "layers": (lambda: eq.f_loc(U, []), ValueError, "layers is empty"),
    "layer's width": (
        lambda: eq.f_loc(U, [(np.ones((7, 2)), np.ones(2))]),
        ValueError,
        "layers[0] W has shape (7, 2); expected (30, 2)",
    ),
    "transformation by name": (
        transform(transformation="affine"),
        TypeError,
        "transformation is 'affine'; expected one such as AFFINE",
    ),
    "a module's transformation by name": (
        lambda: eq.spatial_transformer(
            U, [(np.ones((30, 6)), np.ones(6))], transformation="affine"
        ),
        TypeError,
        "transformation is 'affine'; expected one such as AFFINE",
    ),
    "a size of one number": (lambda: eq.target_grid(np.array(5)), TypeError, "two integers"),
    "a as text": (lambda: eq.keys("0.5"), TypeError, "a is '0.5'; expected a number"),
    "no width": (lambda: eq.hat(None), TypeError, "width is None; expected a number"),
    "a true width": (lambda: eq.hat(True), TypeError, "width is True; expected a number"),
    "a width beyond floats": (lambda: eq.hat(10**400), ValueError, "expected a finite number"),
    "a fill that is not finite": (
        sample(padding="constant", fill=np.nan),
        ValueError,
        "fill is nan; expected a finite number",
    ),
    "a layer alone": (
        lambda: eq.f_loc(U, [np.ones((30, 2))]),
        TypeError,
        "a pair (W, b)",
    ),
    "units": (
        lambda: eq.initial_layers(np.random.default_rng(0), 3, (-3,), [1.0]),
        ValueError,
        "units is -3; expected an integer of at least 0",
    ),
    "xy of a signal": (sample(SIGNAL), ValueError, "expected (B, W', 1), last axis 1, (x)"),
    "xy of a volume": (sample(VOLUME), ValueError, "expected (B, D', H', W', 3), last axis 3"),
    "a flat volume": (sample(VOLUME[:, :0]), ValueError, "D and H and W must be at least 1"),
    "kernels of a volume": (
        sample(VOLUME, np.ones((2, 1, 1, 1, 3)), kernel=(eq.BILINEAR,) * 2),
        TypeError,
        "expected a Kernel or three, one an axis, (x, y, z)",
    ),
    "size of a volume": (
        transform(VOLUME, np.ones((2, 3, 4)), transformation=eq.affine(3), size=(2, 2)),
        TypeError,
        "expected three integers, (depth, height, width)",
    ),
    "affine(3) forgotten": (
        transform(VOLUME, np.ones((2, 3, 4))),
        ValueError,
        "a volume; AFFINE is for maps: use affine(3) or another for volumes",
    ),
    "a matrix for maps": (
        transform_backward(VOLUME, VOLUME, THETA),
        ValueError,
        "a volume; AFFINE is for maps: use affine(3)",
    ),
    "dV of a signal": (
        transform_backward(DV, SIGNAL, np.ones((2, 1, 2)), transformation=eq.affine(1)),
        ValueError,
        "dV has shape (2, 3, 4, 1); expected (2, W', 1)",
    ),
    "paper's tie in trace": (
        lambda: stn_ref.trace(U, THETA, at=(0, 0, 0), tie="paper", kernel=eq.keys()),
        ValueError,
        "needs kernel=BILINEAR",
    ),
    "place": (lambda: stn_ref.trace(U, THETA, at=(0, 5, 0)), ValueError, "within V's (B, H', W')"),
    "place's form": (lambda: stn_ref.trace(U, THETA, at=(0, 1)), TypeError, "three integers"),
    "trace's tie": (
        lambda: stn_ref.trace(U, THETA, at=(0, 0, 0), tie="x"),
        ValueError,
        "tie is 'x'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_says_what_was_given_and_what_was_expected(name):
    call, error, message = CASES[name]
    with pytest.raises(error, match=re.escape(message)):
        call()


ones, SPLINE = np.ones, eq.thin_plate_spline()
NO_BATCH = "it seems to have no batch axis, use U[None]"
SLIPS = {  # what is easily forgotten, and the whole message
    "no batch": (
        transform(ones((28, 28, 1)), THETA[:1]),
        f"U has shape (28, 28, 1); AFFINE warps maps, (B, H, W, C): {NO_BATCH}",
    ),
    "no batch at all": (
        transform(ones((28, 28, 3)), THETA[0]),
        f"U has shape (28, 28, 3); AFFINE warps maps, (B, H, W, C): {NO_BATCH}",
    ),
    "no batch, backwards": (
        transform_backward(ones((28, 28, 1)), ones((28, 28, 1)), THETA[:1]),
        f"U has shape (28, 28, 1); AFFINE warps maps, (B, H, W, C): {NO_BATCH}",
    ),
    "no batch for a spline": (
        transform(ones((28, 28, 1)), ones((1, 16, 2)), transformation=SPLINE),
        "U has shape (28, 28, 1); thin_plate_spline(16 points) warps maps, (B, H, W, C): "
        + NO_BATCH,
    ),
    "no batch of volumes": (
        transform(ones((8, 7, 6, 1)), ones((3, 4)), transformation=eq.affine(3)),
        f"U has shape (8, 7, 6, 1); affine(3) warps volumes, (B, D, H, W, C): {NO_BATCH}",
    ),
    "neither batch nor channels": (
        transform(ones((28, 28)), THETA[:1]),
        "U has shape (28, 28); expected (B, H, W, C): it seems to have no batch axis and no "
        "channels, use U[None, ..., None]",
    ),
    "a signal without batch": (
        sample(ones((28, 2))),
        f"U has shape (28, 2); expected (B, H, W, C): {NO_BATCH}",
    ),
    "no channels": (
        transform(ones((2, 28, 28))),
        f"U has shape (2, 28, 28); AFFINE warps maps, (B, H, W, C): {NO_BATCH}, or no channels, "
        "use U[..., None]",
    ),
    "a signal": (
        transform(ones((2, 16, 4))),
        "U has shape (2, 16, 4), a signal; AFFINE is for maps: use affine(1) or another for "
        "signals",
    ),
    "a map": (
        transform(theta=ones((2, 1, 2)), transformation=eq.affine(1)),
        "U has shape (2, 5, 6, 1), a map; affine(1) is for signals: use affine(2) or another for "
        "maps",
    ),
    "a signal for volumes": (
        transform(SIGNAL, ones((1, 3, 4)), transformation=eq.affine(3)),
        "U has shape (2, 5, 1), a signal; affine(3) is for volumes: use affine(1) or another for "
        "signals",
    ),
    "theta without batch": (
        transform(theta=THETA[0]),
        "theta has shape (2, 3); expected (B, 2, 3): add the batch axis with theta[None]",
    ),
    "dV without batch": (
        transform_backward(DV[0], U[:1], THETA[:1]),
        "dV has shape (3, 4, 1); expected (1, H', W', 1): add the batch axis with dV[None]",
    ),
    "dV with channels first": (
        transform_backward(ones((2, 3, 5, 6)), ones((2, 5, 6, 3))),
        "dV has shape (2, 3, 5, 6); expected (2, H', W', 3): move the channels last with "
        "dV.transpose(0, 2, 3, 1)",
    ),
    "dV of points with channels first": (
        backward(ones((2, 1, 3, 4))),
        "dV has shape (2, 1, 3, 4); expected (2, 3, 4, 1): move the channels last with "
        "dV.transpose(0, 2, 3, 1)",
    ),
    "dV of signals with channels first": (
        transform_backward(ones((2, 3, 5)), ones((2, 5, 3)), ones((2, 1, 2)),
                           transformation=eq.affine(1)),
        "dV has shape (2, 3, 5); expected (2, W', 3): move the channels last with "
        "dV.transpose(0, 2, 1)",
    ),
    "U with channels first": (
        transform_backward(ones((2, 5, 6, 3)), ones((2, 3, 5, 6))),
        "dV has shape (2, 5, 6, 3); expected (2, H', W', 6); if U has its channels first, move "
        "them last with U.transpose(0, 2, 3, 1)",
    ),
    "dV of other channels": (
        transform_backward(ones((2, 5, 6, 3)), ones((2, 5, 6, 4))),
        "dV has shape (2, 5, 6, 3); expected (2, H', W', 4)",
    ),
    "points for a map without batch": (
        sample(ones((28, 28, 1)), ones((1, 3, 4, 2))),
        "xy has shape (1, 3, 4, 2); expected (B, W', 1), last axis 1, (x), for U is a signal: if "
        "it has no batch axis, use U[None]",
    ),
    "points of another kind": (
        sample(SIGNAL, ones((2, 3, 4, 5, 3))),
        "xy has shape (2, 3, 4, 5, 3); expected (B, W', 1), last axis 1, (x)",
    ),
    "points without batch": (
        sample(xy=XY[0]),
        "xy has shape (3, 4, 2); expected (B, H', W', 2), last axis 2, (x, y): add the batch axis "
        "with xy[None]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_met_with_what_to_do(name, backend, monkeypatch):
    call, message = SLIPS[name]
    monkeypatch.setattr(stn_ref.api, "_backend", lambda *_: backends.get(backend))
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


def test_a_transformation_of_ones_own_need_not_say_its_axes():
    mine = SimpleNamespace(identity=lambda: np.ones(1), grid=lambda theta, G: G[None])
    mine.grid_backward = None
    for U in (SIGNAL, ones((2, 5, 6, 1)), VOLUME):
        V = stn_ref.transform(U[:1], ones((1, 1)), transformation=mine, backend="reference")
        np.testing.assert_allclose(V, U[:1])


@pytest.mark.parametrize("shape", [(2, 3), (5, 5)])
def test_a_matrix_of_no_known_form_says_so_itself(shape):
    mine = replace(eq.AFFINE, matrix=lambda theta: np.ones((len(theta), *shape)))
    with pytest.raises(ValueError, match=re.escape(f"the matrix of affine has shape {shape}")):
        stn_ref.transform(U, THETA, transformation=mine)


def test_batches_do_not_broadcast():
    for image, xy in ((U[:1], XY), (U, XY[:1])):
        with pytest.raises(ValueError, match="they must be equal"):
            stn_ref.sample(image, xy)


def test_an_unknown_backend_is_an_error_that_names_the_known():
    with pytest.raises(ValueError, match="expected one of 'reference'"):
        backends.get("numpy")
