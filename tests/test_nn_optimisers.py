"""Optimisers against their formulas, schedules, and slower localisation networks."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.nn import SGD, Adam, Cosine, Dense, Flatten, Sequential, SpatialTransformer, Steps
from stn_ref.nn.trees import cast, mapped, named
from tests.networks import leaves, same_bits

OPTIMISERS = (SGD(0.1), Adam(0.1), SGD(0.1, momentum=0, localisation=0.5), Adam(localisation=2))
NETWORK = Sequential(SpatialTransformer(Flatten()), Flatten(), Dense(2))
IN_F_LOC = {"0/f_loc/2/W", "0/f_loc/2/b"}


@pytest.fixture
def params(rng):
    params, _ = NETWORK.initialise(rng, (2, 2, 1))
    return mapped(lambda leaf: leaf + rng.uniform(-1, 1, leaf.shape), params)


def gradients(params, steps):
    rng = np.random.default_rng(1)
    return [mapped(lambda w: rng.standard_normal(w.shape), params) for _ in range(steps)]


def walked(optimiser, params, gradients):
    """Weights and state after these steps."""
    state = optimiser.initialise(params)
    for step, dparams in enumerate(gradients):
        params, state = optimiser.step(params, dparams, state, step, step / len(gradients))
    return params, state


def test_momentum_by_hand():
    optimiser, w = SGD(0.5, momentum=0.75), {"W": np.array([8.0])}
    slopes = [{"W": np.array([g])} for g in (4.0, 0.0, -1.0)]
    # v = 4, 3, 1.25
    for steps, expected in enumerate((8.0, 6.0, 4.5, 3.875)):
        found, state = walked(optimiser, w, slopes[:steps])
        assert found["W"] == expected
    assert state["velocity"]["W"] == 1.25


def test_adam_by_its_algorithm():
    optimiser = Adam(0.1, beta1=0.8, beta2=0.9, epsilon=0.01)
    w, m, v, slopes = 1.0, 0.0, 0.0, (4.0, 0.0, -1.0)
    for t, g in enumerate(slopes, start=1):
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
        w -= 0.1 * (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)) ** 0.5 + 0.01)
        found, state = walked(optimiser, (np.ones(1),), [(np.array([g]),) for g in slopes[:t]])
        assert_allclose(found[0], w, rtol=1e-14)
        assert_allclose([state["m"][0][0], state["v"][0][0]], [m, v], rtol=1e-14)


def test_the_first_step_of_adam_is_as_long_as_the_rate_says():
    (w,), _ = walked(Adam(0.01), (np.zeros(3),), [(np.array([1e-3, -50.0, 0]),)])
    assert_allclose(w, [-0.01, 0.01, 0], rtol=1e-4)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_pytorch_takes_the_same_steps(name, params):
    torch = pytest.importorskip("torch")
    ours = {"SGD": SGD(0.05, momentum=0.9), "Adam": Adam(0.05)}[name]
    options = {"momentum": 0.9} if name == "SGD" else {}
    weights = [torch.tensor(leaf) for leaf in leaves(params)]
    theirs = getattr(torch.optim, name)(weights, lr=0.05, **options)
    slopes = gradients(params, 5)
    for dparams in slopes:
        for w, g in zip(weights, leaves(dparams), strict=True):
            w.grad = torch.tensor(g)
        theirs.step()
    for w, found in zip(weights, leaves(walked(ours, params, slopes)[0]), strict=True):
        assert_allclose(found, w.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_step_writes_to_nothing_that_it_was_given(optimiser, params):
    state = optimiser.initialise(params)
    (dparams,) = gradients(params, 1)
    for array in (*leaves(params), *leaves(dparams), *leaves(state)):
        array.flags.writeable = False
    once, twice = (optimiser.step(params, dparams, state, 0, 0.0) for _ in range(2))
    assert same_bits(once, twice) and not same_bits(once[0], params)


@pytest.mark.parametrize("make", [SGD, Adam])
def test_single_precision_stays_single_whatever_the_numbers_are(make, params):
    params = cast(params, np.float32)
    slopes = [cast(d, np.float32) for d in gradients(params, 2)]
    fractions = {"momentum"} if make is SGD else {"beta1", "beta2", "epsilon"}
    options = {name: np.float64(0.5) for name in fractions | {"localisation"}}
    plain = dict.fromkeys(options, 0.5)
    for rate in (np.float64(0.1), lambda step, progress: np.float64(0.1)):
        found = walked(make(rate, **options), params, slopes)
        assert {leaf.dtype for leaf in leaves(found)} == {np.dtype(np.float32)}
        assert same_bits(found, walked(make(0.1, **plain), params, slopes))


# --- localisation networks at a pace of their own ---


@pytest.mark.parametrize("make", [SGD, Adam])
@pytest.mark.parametrize("share", [0.0, 0.1, 3.0])
def test_the_localisation_rate_is_for_localisation_networks_alone(make, share, params):
    slopes = gradients(params, 3)
    plain, slowed = (
        dict(named(walked(make(0.1, localisation=k), params, slopes)[0])) for k in (1, share)
    )
    for name, start in named(params):
        expected = share if name in IN_F_LOC else 1
        assert_allclose(slowed[name] - start, expected * (plain[name] - start), atol=1e-14)
        if expected in (0, 1):
            assert_array_equal(slowed[name], start if expected == 0 else plain[name])
    assert set(plain) >= IN_F_LOC


# --- schedules ---


def test_the_cosine_rises_to_its_peak_and_ends_at_zero():
    rate = Cosine(0.4, warm_up=4)
    assert_allclose([rate(step, 0.0) for step in range(6)], [0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
    progress = np.linspace(0, 1, 5)
    assert_allclose([rate(100, p) for p in progress], 0.2 * (1 + np.cos(np.pi * progress)))
    assert rate(100, 1.0) == 0 and Cosine(0.4)(0, 0.0) == 0.4


def test_steps_divide_the_rate_by_ten_as_in_the_paper():
    rate = Steps(0.01, 50_000)
    assert rate(0, 0.0) == rate(49_999, 0.3) == 0.01
    assert_allclose([rate(50_000, 0.3), rate(149_999, 1.0), rate(150_000, 1.0)], [1e-3, 1e-4, 1e-5])
    assert_allclose([Steps(8, 2, 0.5, warm_up=4)(k, 0.0) for k in range(5)], [2, 4, 3, 4, 2])


@pytest.mark.parametrize("make", [SGD, Adam])
def test_a_schedule_is_asked_for_each_step(make, params):
    asked = []

    def rate(step, progress):
        asked.append((step, progress))
        return 0.1 if step == 1 else 0.0

    slopes = gradients(params, 4)
    found = [walked(make(rate), params, slopes[:steps])[0] for steps in (1, 2)]
    assert same_bits(found[0], params) and not same_bits(found[1], params)
    asked.clear()
    walked(make(rate), params, slopes)
    assert asked == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SGD(-1), ValueError, "rate is -1.0; expected 0 or more"),
        (lambda: SGD("fast"), TypeError, "rate is 'fast'; expected a number"),
        (lambda: Adam(np.nan), ValueError, "rate is nan; expected a finite number"),
        (lambda: SGD(1, momentum=1), ValueError, "momentum is 1.0; expected 0 or more and less"),
        (lambda: Adam(beta1=1), ValueError, "beta1 is 1.0; expected 0 or more and less than 1"),
        (lambda: Adam(beta2=-0.1), ValueError, "beta2 is -0.1; expected 0 or more and less than 1"),
        (lambda: Adam(epsilon=-1), ValueError, "epsilon is -1.0; expected 0 or more"),
        (lambda: SGD(1, localisation=-2), ValueError, "localisation is -2.0; expected 0 or more"),
        (lambda: SGD(1, localisation=abs), TypeError, "localisation is <built-in function abs>"),
        (lambda: Cosine(-1), ValueError, "peak is -1.0; expected 0 or more"),
        (lambda: Cosine(1, warm_up=0.5), TypeError, "warm_up is 0.5; expected an integer"),
        (lambda: Steps(1, 0), ValueError, "every is 0; expected an integer of at least 1"),
        (lambda: Steps(1, 5, factor=-1), ValueError, "factor is -1.0; expected 0 or more"),
        (
            lambda: Steps(1, 5, warm_up=-1),
            ValueError,
            "warm_up is -1; expected an integer of at least 0",
        ),
    ],
)
def test_bad_numbers_are_errors_that_name_them(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
