"""`fit`: batches, history, stops that lose nothing, and results that come out the same."""

import json
import re
import sys

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref import progress
from stn_ref.equations import target_grid, thin_plate_spline
from stn_ref.nn import (
    SGD,
    Adam,
    Cosine,
    Dense,
    Flatten,
    Parallel,
    Sequential,
    SpatialTransformer,
    Training,
    error_percent,
    fit,
    fully_connected,
    save_weights,
    softmax_cross_entropy,
)
from stn_ref.nn import training as training_module
from stn_ref.nn.trees import cast
from tests.networks import leaves, same_bits

MODEL = Sequential(SpatialTransformer(fully_connected(3), backend="reference"), Flatten(), Dense(3))
ADAM = Adam(Cosine(0.02, warm_up=3))
IMAGES = np.random.default_rng(5).uniform(size=(10, 4, 4, 1))
LABELS = np.arange(10) % 3


def first(dtype=np.float64, model=MODEL):
    return cast(model.initialise(np.random.default_rng(0), IMAGES.shape[1:])[0], dtype)


def trained(steps=7, *, model=MODEL, images=IMAGES, seed=1, optimiser=ADAM, **options):
    options = {"rng": np.random.default_rng(seed), "batch": 4} | options
    return fit(
        model,
        first(images.dtype, model),
        images,
        LABELS[: len(images)],
        optimiser=optimiser,
        steps=steps,
        **options,
    )


def noisy(images, labels, rng):
    """Augmentation, which draws from the same generator as the batches."""
    return images + 0.1 * rng.standard_normal(images.shape), labels


def alike(a, b):
    """Two trainings, but for the time that they took."""
    losses = [[loss for loss, _ in training.history] for training in (a, b)]
    text = [json.dumps(training.rng, default=np.ndarray.tolist) for training in (a, b)]
    trees = [(t.params, t.state, t.order, np.array([t.place, t.step])) for t in (a, b)]
    return losses[0] == losses[1] and text[0] == text[1] and same_bits(*trees)


# --- batches ---


def batches_of(images, labels, steps, **options):
    seen = []

    def prepare(x, y, rng):
        seen.append([int(np.flatnonzero((images == image).all(axis=(1, 2, 3)))[0]) for image in x])
        assert_array_equal(y, labels[seen[-1]])
        return x, y

    trained(steps, images=images, prepare=prepare, **options)
    return seen


def test_an_epoch_is_a_shuffle_from_the_generator_cut_into_batches():
    rng = np.random.default_rng(1)
    expected = []
    for order in (rng.permutation(10), rng.permutation(10)):
        expected += [order[:3].tolist(), order[3:6].tolist(), order[6:9].tolist()]
    assert batches_of(IMAGES, LABELS, 6, batch=3) == expected


@pytest.mark.parametrize("batch", [1, 5, 10, 256])
def test_each_image_comes_once_an_epoch_where_batches_divide_it(batch):
    size = min(batch, 10)
    seen = batches_of(IMAGES, LABELS, 2 * 10 // size, batch=batch)
    assert {len(chosen) for chosen in seen} == {size}
    flat = [image for chosen in seen for image in chosen]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))
    assert flat[:10] != flat[10:]


def test_a_step_is_forward_loss_backward_and_the_optimiser():
    params, order = first(), np.random.default_rng(1).permutation(10)
    state, losses = ADAM.initialise(params), []
    for step in range(2):
        chosen = order[4 * step : 4 * step + 4]
        z, cache = MODEL.forward(params, IMAGES[chosen])
        loss, dz = softmax_cross_entropy(z, LABELS[chosen])
        _, dparams = MODEL.backward(dz, cache)
        params, state = ADAM.step(params, dparams, state, step, step / 2)
        losses.append(loss)
    found = trained(2)
    assert same_bits(found.params, params) and same_bits(found.state, state)
    assert [loss for loss, _ in found.history] == losses


def test_the_same_generator_gives_the_same_bits_and_another_gives_others():
    assert alike(trained(prepare=noisy), trained(prepare=noisy))
    assert not same_bits(trained().params, trained(seed=2).params)


def test_history_has_an_entry_a_step_with_the_time_so_far():
    training = trained(9)
    losses, seconds = np.transpose(training.history)
    assert training.step == len(losses) == 9
    assert np.all(np.diff([0, *seconds]) >= 0) and training.seconds == seconds[-1]
    assert trained(0).history == [] and trained(0).seconds == 0
    assert same_bits(trained(0).params, first())


def test_one_image_is_learnt_by_heart():
    training = trained(30, images=IMAGES[:1], optimiser=Adam(0.1))
    assert training.history[-1][0] < 0.01 < training.history[0][0]


def test_a_model_of_one_layer_trains():
    """Even one that has no shorter way to its weights."""

    class Linear:
        def initialise(self, rng, input_shape):
            return {"W": np.zeros((16, 3))}, (3,)

        def forward(self, params, x):
            return x.reshape(-1, 16) @ params["W"], (params["W"], x)

        def backward(self, dy, cache):
            W, x = cache
            return (dy @ W.T).reshape(x.shape), {"W": x.reshape(-1, 16).T @ dy}

    training = trained(30, model=Linear(), optimiser=SGD(1.0), batch=10)
    assert training.history[-1][0] < training.history[0][0]
    assert training.params["W"].shape == (16, 3)


def test_what_is_no_layer_does_not_train():
    with pytest.raises(TypeError, match="'st-fcn' is no layer; expected one such as Dense"):
        fit(
            "st-fcn", first(), IMAGES, LABELS, optimiser=ADAM, rng=np.random.default_rng(0), steps=1
        )


def test_training_leaves_the_first_weights_alone():
    params = first()
    fit(MODEL, params, IMAGES, LABELS, optimiser=ADAM, rng=np.random.default_rng(0), steps=2)
    assert same_bits(params, first())


# --- precision ---


def doubled(images, labels, rng):
    return images.astype(np.float64), labels


def listed(images, labels, rng):
    return images.tolist(), labels.tolist()


def scalar_loss(z, labels):
    loss, dz = softmax_cross_entropy(z, labels)
    return np.float64(loss), dz.tolist()


def double_loss(z, labels):
    loss, dz = softmax_cross_entropy(z, labels)
    return loss, dz.astype(np.float64)


def test_all_is_in_the_precision_of_the_images():
    single = IMAGES.astype(np.float32)
    plain = trained(images=single)
    others = ({"prepare": doubled, "loss": double_loss}, {"prepare": listed, "loss": scalar_loss})
    for training in (plain, *(trained(images=single, **options) for options in others)):
        assert {type(loss) for loss, _ in training.history} == {float}
        found = [*leaves(training.params), *leaves(training.state)]
        assert {leaf.dtype for leaf in found} == {np.dtype(np.float32)}
        assert alike(training, plain)


def test_the_number_of_threads_changes_no_bit():
    model = Sequential(SpatialTransformer(fully_connected(3)), Flatten(), Dense(3))
    single, threads = IMAGES.astype(np.float32), numba.get_num_threads()
    found = []
    for count in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(count)
        found.append(trained(3, model=model, images=single))
    numba.set_num_threads(threads)
    assert alike(*found)


# --- when it stops ---


def test_seconds_are_of_processor_time(monkeypatch):
    """Each look at the clock takes a second, so a step does."""
    clock = iter(range(1000))
    monkeypatch.setattr(training_module.time, "process_time", lambda: float(next(clock)))
    asked = []
    rate = lambda step, progress: asked.append(progress) or 0.1  # noqa: E731
    training = trained(None, seconds=4, optimiser=SGD(rate))
    assert [seconds for _, seconds in training.history] == [1, 2, 3, 4]
    assert asked == [0, 0.25, 0.5, 0.75]
    assert trained(None, seconds=0).step == 0


def test_it_is_watched_before_the_first_step_every_so_often_and_at_the_end(tmp_path):
    for steps, every, expected in ((7, 3, [0, 3, 6, 7]), (6, 3, [0, 3, 6]), (2, 100, [0, 2])):
        seen = []
        watch = lambda now: seen.append((now.step, now.params))  # noqa: E731, B023
        training = trained(steps, every=every, watch=watch)
        assert [step for step, _ in seen] == expected
        assert same_bits(seen[0][1], first()) and same_bits(seen[-1][1], training.params)
    path, seen = tmp_path / "checkpoint", []
    trained(4, checkpoint=path)
    trained(6, checkpoint=path, resume=True, watch=lambda now: seen.append(now.step))
    assert seen == [6]
    trained(9, checkpoint=path, resume=True, every=3, watch=lambda now: seen.append(now.step))
    assert seen[1:] == [6, 9], "again where it goes on: an interrupt may have come between"


# --- checkpoints ---


class Interrupting:
    """A function that is interrupted at one of its calls."""

    def __init__(self, function, at):
        self.function, self.left = function, at

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.function(*args, **kwargs)

    def __repr__(self):
        return repr(self.function)


FUNCTIONS = {"loss": softmax_cross_entropy, "prepare": noisy, "watch": len}


def interrupted(place, at, **options):
    """A training that is interrupted in the given place; a step begins with its batch ("prepare"),
    and a rate is asked for near its end."""
    if place == "rate":
        options["optimiser"] = Adam(Interrupting(ADAM.rate, at))
    else:
        options[place] = Interrupting(FUNCTIONS[place], at)
    with pytest.raises(KeyboardInterrupt):
        trained(**options)


@pytest.mark.parametrize(
    ("place", "every", "kind"),
    [
        *(
            (place, every, "PCG64")
            for place in ("prepare", "loss", "rate")
            for every in (1, 3, 100)
        ),
        *(("watch", every, "PCG64") for every in (1, 3)),
        *(("prepare", 3, kind) for kind in ("MT19937", "Philox", "SFC64")),
    ],
)
def test_an_interrupted_training_goes_on_to_the_same_bits(place, every, kind, tmp_path):
    generator = lambda: np.random.Generator(getattr(np.random, kind)(7))  # noqa: E731
    options = {"every": every, "prepare": noisy}
    path = tmp_path / "checkpoint.npz"
    unbroken = trained(rng=generator(), **options)
    at = 1 if place == "watch" else 4
    interrupted(place, at, rng=generator(), checkpoint=path, **options)
    again = trained(rng=generator(), checkpoint=path, resume=True, **options)
    assert alike(again, unbroken) and len(again.history) == 7
    finished = trained(rng=generator(), checkpoint=path, resume=True, **options)
    assert alike(finished, unbroken) and finished.history == again.history
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_an_interrupt_at_the_very_end_of_a_step_loses_that_step_alone(tmp_path, monkeypatch):
    """Its loss is in the history already, but the step is not made."""
    path = tmp_path / "checkpoint.npz"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training_module, "Training", Interrupting(Training, 4))
        trained(checkpoint=path)
    with np.load(path) as file:
        assert len(file["history"]) == 3
    assert alike(trained(checkpoint=path, resume=True), trained())


def test_more_steps_may_be_asked_for(tmp_path):
    constant = {"optimiser": SGD(0.1), "checkpoint": tmp_path / "c.npz", "resume": True}
    trained(3, **constant)
    assert alike(trained(8, seed=5, **constant), trained(8, optimiser=SGD(0.1)))


def test_there_must_be_no_checkpoint_unless_it_is_to_be_resumed(tmp_path):
    path = tmp_path / "c.npz"
    trained(2, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"c\.npz is there already: pass resume=True, or rem"):
        trained(2, checkpoint=path)
    assert path.read_bytes() == before


OTHERS = {
    "model": {"model": Sequential(Flatten(), Dense(3))},
    "optimiser": {"optimiser": Adam(0.1)},
    "schedule": {"optimiser": Adam(Cosine(0.02))},
    "loss": {"loss": double_loss},
    "prepare": {"prepare": noisy},
    "batch": {"batch": 5},
    "images": {"images": IMAGES[:9]},
    "precision": {"images": IMAGES.astype(np.float32)},
    "generator": {"rng": np.random.Generator(np.random.MT19937(0))},
}


def test_a_checkpoint_knows_the_points_of_a_spline(tmp_path):
    def network(reach):
        spline = thin_plate_spline(reach * target_grid((2, 2)).reshape(-1, 2))
        look = SpatialTransformer(fully_connected(3), transformation=spline, backend="reference")
        return Sequential(look, Flatten(), Dense(3))

    options = {"checkpoint": tmp_path / "c.npz", "resume": True, "optimiser": SGD(0.1)}
    trained(2, model=network(0.5), **options)
    again = trained(4, model=network(0.5), **options)
    assert alike(again, trained(4, model=network(0.5), optimiser=SGD(0.1)))
    with pytest.raises(ValueError, match="is of another training"):
        trained(6, model=network(0.6), **options)


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_another_training_is_an_error_that_tells_both(name, tmp_path):
    path = tmp_path / "c.npz"
    trained(2, checkpoint=path)
    before = path.read_bytes()
    message = r"c\.npz is of another training: it has .* … where this one has .* …"
    with pytest.raises(ValueError, match=message) as caught:
        trained(4, checkpoint=path, resume=True, **OTHERS[name])
    there, here = str(caught.value).split("training: it has ")[1].split(" where this one has ")
    assert there != here and max(len(there), len(here)) < 200, "a line of each"
    assert path.read_bytes() == before


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def pickled(path):
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"rng": np.array([{}], dtype=object)}))


def forgotten(path):
    with np.load(path) as file:
        arrays = {name: array for name, array in file.items() if name != "state/m/2/W"}
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "is no npz of arrays: "),
        (pickled, "is no npz of arrays: Object arrays cannot be loaded"),
        (lambda path: path.write_text("a text"), "is no npz of arrays: "),
        (lambda path: path.write_bytes(b""), "is no npz of arrays: "),
        (lambda path: save_weights(path, first()), "is of another training: it has None …"),
        (forgotten, "is of another network: it lacks \\['m/2/W'\\] and has \\[\\]"),
    ],
)
def test_what_is_no_checkpoint_is_an_error_and_stays(spoil, message, tmp_path):
    path = tmp_path / "c.npz"
    trained(2, checkpoint=path)
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"c\.npz {message}"):
        trained(4, checkpoint=path, resume=True)
    assert path.read_bytes() == before


def test_a_checkpoint_can_be_read_without_pickles(tmp_path):
    trained(3, checkpoint=tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        assert {"params/2/W", "state/m/2/W", "state/v/0/f_loc/2/b", "rng"} <= set(file)
        assert file["history"].shape == (3, 2)
        assert " at 0x" not in str(file["about"])


# --- what is not finite ---


class GoingWrong:
    """The loss, but for one call."""

    def __init__(self, at, loss, slope):
        self.left, self.loss, self.slope = at, loss, slope

    def __call__(self, z, labels):
        self.left -= 1
        right, dz = softmax_cross_entropy(z, labels)
        return (self.loss, self.slope * dz) if self.left == -1 else (right, dz)

    def __repr__(self):
        return repr(softmax_cross_entropy)


@pytest.mark.parametrize(
    ("loss", "slope", "message"),
    [
        (np.nan, 1, "the loss is nan at step 4: is the rate too high"),
        (np.inf, 1, "the loss is inf at step 4: is the rate too high"),
        (1.0, np.inf, "weights are not finite after step 4: is the rate too high"),
    ],
)
@pytest.mark.parametrize(("every", "kept"), [(1, 4), (3, 3), (100, 0)])
def test_what_is_not_finite_stops_at_its_step_and_spoils_no_checkpoint(
    loss, slope, message, every, kept, tmp_path
):
    path = tmp_path / "c.npz"
    with pytest.raises(FloatingPointError, match=re.escape(message)):
        trained(checkpoint=path, every=every, loss=GoingWrong(4, loss, slope))
    with np.load(path) as file:
        assert len(file["history"]) == kept
    assert alike(trained(checkpoint=path, resume=True), trained())


def test_one_weight_that_is_not_finite_is_enough_to_stop():
    """Gradients of one of two branches alone are infinite."""
    branches = Parallel(*(Sequential(Flatten(), Dense(n)) for n in (1, 2)))
    lopsided = lambda z, labels: (1.0, np.full(z.shape, (np.inf, 0, 0)))  # noqa: E731
    with pytest.raises(FloatingPointError, match="weights are not finite after step 0"):
        trained(model=branches, loss=lopsided)


def test_a_rate_that_is_too_high_is_found_out_without_warnings():
    with pytest.raises(FloatingPointError, match="is the rate too high"):
        trained(100, optimiser=SGD(1e38), images=IMAGES.astype(np.float32))


def test_a_crash_during_a_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path, real = tmp_path / "c.npz", np.savez

    def half(file, **arrays):
        if len(arrays["history"]) < 4:
            return real(file, **arrays)
        file.write(b"PK\3\4 half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="no space left"):
        trained(checkpoint=path, every=2)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]
    with np.load(path) as file:
        assert len(file["history"]) == 2
    assert alike(trained(checkpoint=path, resume=True), trained())


# --- the rest ---


def test_errors_are_counted_in_percent_over_all_batches():
    logits = np.eye(4)[np.arange(600) % 4].reshape(600, 1, 1, 4)
    labels = np.arange(600) % 4
    labels[[0, 299, 599]] = 3 - labels[[0, 299, 599]]
    assert error_percent(Flatten(), (), logits, labels) == 0.5
    assert error_percent(Flatten(), (), logits[:1], labels[:1]) == 100


def test_a_bar_is_shown_on_a_terminal_only(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1)
    monkeypatch.setattr(progress, "PAUSE", -1)
    trained(2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    training = trained(2)
    out, err = capsys.readouterr()
    first_line, second, clear = re.findall(r"\r([^\r]*)", err)
    assert not out and clear == "\033[K"
    assert f"training {'·' * 30} step 1, loss {training.history[0][0]:.3f}" in first_line
    assert f"training {'█' * 15}{'·' * 15} step 2" in second


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seconds": 1}, ValueError, "steps is 7 and seconds is 1; expected one of the two"),
        ({"steps": None}, ValueError, "steps is None and seconds is None; expected one of"),
        ({"steps": -1}, ValueError, "steps is -1; expected an integer of at least 0"),
        ({"steps": 1.5}, TypeError, "steps is 1.5; expected an integer"),
        ({"steps": None, "seconds": -1}, ValueError, "seconds is -1; expected 0 or more"),
        ({"steps": None, "seconds": np.nan}, ValueError, "seconds is nan; expected a finite"),
        ({"batch": 0}, ValueError, "batch is 0; expected an integer of at least 1"),
        ({"every": 0}, ValueError, "every is 0; expected an integer of at least 1"),
        ({"optimiser": Adam}, TypeError, "optimiser is <class 'stn_ref.nn.optimisers.Adam'>; exp"),
        ({"optimiser": 0.1}, TypeError, "optimiser is 0.1; expected one such as Adam(1e-3)"),
        ({"rng": 3}, TypeError, "rng is 3; expected a numpy.random.Generator"),
        ({"images": IMAGES[:0]}, ValueError, "images have shape (0, 4, 4, 1) and labels (0,); exp"),
        ({"images": np.ones((12, 4, 4, 1))}, ValueError, "(12, 4, 4, 1) and labels (10,); expect"),
        ({"images": IMAGES.astype(np.float16)}, TypeError, "images has dtype float16; expected"),
    ],
)
def test_bad_options_say_what_was_given_and_what_was_expected(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        trained(**options)
