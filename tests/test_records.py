"""Records print as one types them, and a copy or a worker's is as good as the first."""

import copy
import inspect
import pickle
from dataclasses import dataclass, field, replace
from multiprocessing import get_context

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import stn_ref
from stn_ref import equations as eq
from stn_ref.equations import kernels
from stn_ref.equations.records import in_full
from stn_ref.nn import (
    AveragePool2d,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    Parallel,
    Relu,
    Sequential,
    SpatialTransformer,
    fully_connected,
)

SQUARE = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]]
TRIANGLES = [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]


def quadratics(G):
    x, y = G[..., 0], G[..., 1]
    return np.stack([x, y, x * x, x * y, y * y], axis=-1)


def quadratics_backward(dB, G):
    raise NotImplementedError


LINEAR = eq.linear(quadratics, quadratics_backward, np.eye(5, 2))
KERNELS = {
    "INTEGER": eq.INTEGER,
    "BILINEAR": eq.BILINEAR,
    "keys(a=-0.75)": eq.keys(),
    "keys(a=2.0)": eq.keys(2),
    "hat(width=1.5)": eq.hat(1.5),
    "gaussian(sigma=0.5)": eq.gaussian(np.float32(0.5)),
    "lanczos(lobes=3)": eq.lanczos(np.int64(3)),
    "bspline(order=2)": eq.bspline(2),
    "bspline(order=3)": eq.bspline(3),
    "normalised(hat(width=1.5))": eq.normalised(eq.hat(1.5)),
    "normalised(lanczos(lobes=2))": eq.normalised(eq.lanczos(2)),
    "Kernel('mine', Phi=(0.5,))": replace(eq.keys(), name="mine", Phi=(0.5,)),
}
TRANSFORMATIONS = {
    **{name: getattr(eq, name) for name in ("AFFINE", "ATTENTION", "TRANSLATION", "SIMILARITY")},
    **{name: getattr(eq, name) for name in ("ROTATION", "PROJECTIVE")},
    "affine(2)": eq.affine(2),
    "attention(2)": eq.attention(2),
    "translation(2)": eq.translation(2),
    "thin_plate_spline(16 points)": eq.thin_plate_spline(),
    "thin_plate_spline(5 points, regularisation=0.1)": eq.thin_plate_spline(
        SQUARE, regularisation=0.1
    ),
    "piecewise_affine(5 vertices, 4 triangles)": eq.piecewise_affine(SQUARE, TRIANGLES),
    "linear(5 functions)": LINEAR,
    "linear(5 functions, name='mine')": eq.linear(
        quadratics, quadratics_backward, np.eye(5, 2), name="mine"
    ),
    "compose(AFFINE, ROTATION)": eq.compose(eq.AFFINE, eq.ROTATION),
    "compose(thin_plate_spline(16 points), affine(2))": eq.compose(
        eq.thin_plate_spline(), eq.affine(2)
    ),
    "Transformation('mine')": eq.Transformation(
        "mine", eq.PROJECTIVE.identity, eq.PROJECTIVE.grid, eq.PROJECTIVE.grid_backward
    ),
}
LAYERS = {
    "Dense(10)": Dense(10),
    "Relu()": Relu(),
    "MaxPool2d(2)": MaxPool2d(2),
    "AveragePool2d(2)": AveragePool2d(2),
    "Conv2d(8, 5)": Conv2d(8, 5),
    "Conv2d(8, 5, padding=2)": Conv2d(8, 5, padding=2),
    "Sequential(Dense(32), Relu())": Sequential(Dense(32), Relu()),
    "Parallel(Flatten(), Sequential(Flatten()))": Parallel(Flatten(), Sequential(Flatten())),
    "SpatialTransformer(Sequential(Dense(32), Relu()))": SpatialTransformer(
        Sequential(Dense(32), Relu()), transformation=eq.AFFINE, align_corners=True
    ),
    "SpatialTransformer(Dense(3), transformation=thin_plate_spline(16 points), size=(4, 5), "
    "kernel=(keys(a=-0.5), BILINEAR))": SpatialTransformer(
        Dense(3),
        transformation=eq.thin_plate_spline(),
        size=(4, 5),
        kernel=(eq.keys(-0.5), eq.BILINEAR),
    ),
}
ALL = KERNELS | TRANSFORMATIONS | LAYERS
OTHER_AXES = {
    "affine(3)": eq.affine(np.int64(3)),
    "attention(1)": eq.attention(1),
    "translation(3)": eq.translation(3),
}
CONSTANTS = [record for name, record in ALL.items() if name.isupper()]


# The lambda of PROJECTIVE's identity is no function of a module: a record made from it by hand
# does not pickle.
PORTABLE = {name: r for name, r in ALL.items() if name != "Transformation('mine')"}


@pytest.mark.parametrize("text", ALL | OTHER_AXES)
def test_a_record_prints_as_one_types_it(text):
    assert repr((ALL | OTHER_AXES)[text]) == text


def test_what_is_known_by_a_name_keeps_it():
    assert [repr(eq.bspline(order)) for order in (0, 1)] == ["INTEGER", "BILINEAR"]
    assert {"AFFINE", "PROJECTIVE", "INTEGER"} <= {repr(record) for record in CONSTANTS}


def test_help_shows_defaults_that_one_can_read():
    for function in (stn_ref.transform, stn_ref.transform_backward):
        text = str(inspect.signature(function))
        assert "= AFFINE" in text and "= BILINEAR" in text and " at 0x" not in text
    assert "= BILINEAR" in str(inspect.signature(stn_ref.sample))


def test_a_replaced_record_forgets_the_call_that_made_the_first():
    for record in (eq.keys(), eq.normalised(eq.hat(1.5)), eq.BILINEAR):
        assert repr(replace(record, name="mine")) == f"Kernel('mine', Phi={record.Phi})"
    assert repr(replace(LINEAR, name="mine")) == "Linear('mine')"
    other = pickle.loads(pickle.dumps(replace(eq.keys(), Phi=(-0.5,))))
    assert repr(other) == "Kernel('keys', Phi=(-0.5,))" and other == eq.keys(-0.5)


def test_a_record_of_ones_own_with_another_constructor_prints_too():
    class Mine(kernels.Kernel):
        def __init__(self, a):
            row = eq.keys(a)
            super().__init__("mine", row.Phi, row.k, row.dk, row.dk_dphi, row.support)

    assert repr(Mine(-0.5)) == "Mine('mine', Phi=(-0.5,))"


def test_the_call_does_not_touch_equality():
    assert eq.keys() == eq.keys(-0.75) == replace(eq.keys()) != eq.keys(-0.5)
    assert hash(eq.keys()) == hash(replace(eq.keys()))


def twins(record):
    yield pickle.loads(pickle.dumps(record))
    yield copy.deepcopy(record)
    yield copy.copy(record)


@pytest.mark.parametrize("record", CONSTANTS, ids=repr)
def test_a_constant_comes_back_as_itself(record):
    network = SpatialTransformer(Dense(3), **{kind(record): record})
    for twin, inner in zip(twins(record), twins(network), strict=True):
        assert twin is record is getattr(inner, kind(record))


def kind(record):
    return "kernel" if isinstance(record, eq.Kernel) else "transformation"


@pytest.mark.parametrize("text", PORTABLE | OTHER_AXES)
def test_a_copy_is_made_from_the_same(text):
    record = (PORTABLE | OTHER_AXES)[text]
    for twin in twins(record):
        assert type(twin) is type(record) and repr(twin) == text
        assert in_full(twin) == in_full(record)


def test_a_copy_does_not_follow_what_happens_to_the_arguments_later():
    points = np.array(SQUARE)
    spline = eq.thin_plate_spline(points)
    points[:] = 0
    for twin in twins(spline):
        assert_array_equal(twin.identity(), SQUARE)


def test_a_record_made_from_lambdas_says_so_when_pickled():
    mine = replace(eq.BILINEAR, k=lambda t, phi: t)
    with pytest.raises((AttributeError, pickle.PicklingError), match="<lambda>"):
        pickle.dumps(mine)
    assert copy.deepcopy(mine) == mine


def warped(kernel, transformation):
    rng = np.random.default_rng(0)
    U, start = rng.standard_normal((2, 7, 6, 2)), transformation.identity()
    theta = start + 0.1 * rng.standard_normal((2, *start.shape))
    options = {"transformation": transformation, "kernel": kernel, "backend": "reference"}
    return stn_ref.transform(U, theta, **options)


def test_a_spawned_worker_gives_the_same_bits():
    pairs = [(kernel, eq.AFFINE) for kernel in KERNELS.values()]
    for name in (name for name in TRANSFORMATIONS if name in PORTABLE):
        pairs.append((eq.keys(), TRANSFORMATIONS[name]))
    with get_context("spawn").Pool(1) as pool:
        found = pool.starmap(warped, pairs)
    for pair, V in zip(pairs, found, strict=True):
        assert_array_equal(V, warped(*pair), err_msg=f"{pair}")


# --- in full ---


def mine(t, phi):
    return 1.0 * (abs(t) < 0.5)


def test_in_full_no_two_are_alike():
    moved = np.array(SQUARE) + 0.01
    different = [
        eq.thin_plate_spline(SQUARE),
        eq.thin_plate_spline(moved),
        eq.thin_plate_spline(SQUARE, regularisation=0.1),
        eq.piecewise_affine(SQUARE, TRIANGLES),
        eq.piecewise_affine(moved, TRIANGLES),
        eq.piecewise_affine(SQUARE, TRIANGLES[::-1]),
        eq.compose(eq.AFFINE, eq.thin_plate_spline(SQUARE)),
        eq.compose(eq.AFFINE, eq.thin_plate_spline(moved)),
        LINEAR,
        eq.linear(quadratics, quadratics_backward, np.ones((5, 2))),
        eq.linear(mine, quadratics_backward, np.eye(5, 2)),
        replace(eq.AFFINE, name="mine"),
        replace(eq.AFFINE, name="mine", grid=eq.ROTATION.grid_backward),
        replace(eq.BILINEAR),
        replace(eq.BILINEAR, k=mine),
        replace(eq.BILINEAR, support=2.0),
        eq.BILINEAR,
    ]
    for wrap in (lambda r: r, Wrapped, lambda r: SpatialTransformer(Dense(3), **{kind(r): r})):
        assert len({in_full(wrap(record)) for record in different}) == len(different)
    assert len(set(map(repr, different))) < len(different), "what is short is not unique"


@dataclass(frozen=True)
class Wrapped:
    """A user's own, which prints as Python prints it."""

    record: object = field()


def test_in_full_is_the_same_twice_and_leaves_repr_short():
    a, b = (SpatialTransformer(fully_connected(3), transformation=t()) for t in [spline] * 2)
    assert in_full(a) == in_full(b) != repr(a)
    with pytest.raises(ZeroDivisionError):
        in_full(Broken())
    assert repr(spline()) == "thin_plate_spline(16 points)"


def spline():
    return eq.thin_plate_spline()


class Broken:
    def __repr__(self):
        return str(1 / 0)
