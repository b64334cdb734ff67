"""The paper's networks and tasks, from the command line to the pictures."""

import json
import os
from dataclasses import replace
from functools import partial

import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import plots, transform
from stn_ref.__main__ import main
from stn_ref.data import TASKS, Digits, digits, distort, distortions
from stn_ref.equations import ROTATION
from stn_ref.experiments import film, job
from stn_ref.experiments.models import MODELS, TRANSFORMATIONS, network
from stn_ref.nn import (
    Adam,
    Dense,
    Flatten,
    Parallel,
    Sequential,
    SpatialTransformer,
    count,
    error_percent,
    fit,
)
from stn_ref.nn.trees import cast, mapped, named
from stn_ref.plots import films

FILES = {"checkpoint.npz", "weights.npz", "history.csv", "result.json"}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """`main` sets variables for itself; they go when the test ends."""
    matplotlib.use("agg")
    for library in ("OPENBLAS", "MKL", "OMP", "NUMBA"):
        name = f"{library}_NUM_THREADS"
        monkeypatch.setenv(name, os.environ.get(name, str(os.cpu_count())))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("STN_REF_DATA", "")


def on_reference(layer):
    """The same network, with nothing to compile."""
    if isinstance(layer, SpatialTransformer):
        return replace(layer, backend="reference")
    if isinstance(layer, Sequential | Parallel):
        return type(layer)(*map(on_reference, layer.layers))
    return layer


@pytest.fixture
def quick(few, monkeypatch):
    """Few digits, on the reference backend."""
    on_cpu = job.network
    monkeypatch.setattr(job, "network", lambda *a, **options: on_reference(on_cpu(*a, **options)))
    monkeypatch.setattr(distortions, "transform", partial(transform, backend="reference"))
    return few


@pytest.fixture
def few(monkeypatch):
    """Forty digits to learn and twenty to be tested on; frames and checkpoints every 2 steps."""
    found = digits(dtype=np.float32)
    small = Digits(*(a[:: len(a) // n][:n] for a, n in zip(found, (40, 40, 20, 20), strict=True)))
    monkeypatch.setattr(job, "digits", lambda dtype: small)
    monkeypatch.setattr(job, "EVERY", 2)
    return small


def train(out, *options):
    return main(["train", "--out", str(out), *map(str, options)])


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def equal_arrays(a, b):
    a, b = arrays(a), arrays(b)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures are files without content."""
    monkeypatch.setattr(film, "training_film", len)
    monkeypatch.setattr(film, "save", lambda figure, path: path.touch())


# --- the command ---


def test_train_writes_weights_history_result_and_pictures(few, tmp_path, capsys):
    assert train(tmp_path / "new", "--task", "R", "--steps", 3, "--seed", 4) == 0
    out, err = capsys.readouterr()
    found = {path.name: path for path in (tmp_path / "new").iterdir()}
    pictures = {"step_000000.png", "step_000002.png", "film.png"}
    assert set(found) == FILES | pictures | {"film.npz"}
    assert min(found[name].stat().st_size for name in pictures) > 5_000

    result = json.loads(found["result.json"].read_text())
    assert json.loads(out) == result and not err
    assert 0 <= result.pop("error_percent") <= 100
    assert result.pop("seconds") > 0
    assert result.pop("version")
    assert result == {
        "steps": 3,
        "seed": 4,
        "task": "R",
        "model": "st-fcn",
        "transformation": "affine",
        "transformers": 1,
        "parameters": 412_624,
        "training_digits": 40,
        "test_digits": 20,
    }
    head, *lines = found["history.csv"].read_text().splitlines()
    assert head == "step,loss,seconds"
    rows = np.array([line.split(",") for line in lines], float)
    assert_array_equal(rows[:, 0], [0, 1, 2])
    assert np.all(np.diff([0, *rows[:, 2]]) > 0)
    checkpoint, weights = arrays(found["checkpoint.npz"]), arrays(found["weights.npz"])
    assert_array_equal(checkpoint["history"], rows[:, 1:])
    assert_array_equal(checkpoint["params/1/1/W"], weights["1/1/W"])
    assert weights["0/f_loc/0/1/W"].dtype == np.float32


def test_an_interrupted_job_goes_on_to_the_same_bits_and_frames(
    quick, undrawn, tmp_path, capsys, monkeypatch
):
    options = ("--task", "RTS", "--steps", 5)
    assert train(tmp_path / "whole", *options) == 0

    def interrupted(self, training):
        if training.step == 4:
            raise KeyboardInterrupt
        take(self, training)

    take = film.Film.take
    with monkeypatch.context() as patched:
        patched.setattr(film.Film, "take", interrupted)
        assert train(tmp_path / "parts", *options) == 130
    assert "stopped; --resume goes on" in capsys.readouterr().err
    assert not (tmp_path / "parts" / "result.json").exists()
    assert train(tmp_path / "parts", *options) == 2, "not without --resume"
    assert "checkpoint.npz is there already: pass --resume, or remove it" in capsys.readouterr().err
    for other in (("--seed", 1), ("--task", "R"), ("--model", "fcn")):
        assert train(tmp_path / "parts", *options, "--resume", *other) == 2
        assert "is of another training" in capsys.readouterr().err
    assert train(tmp_path / "parts", *options, "--resume") == 0

    assert equal_arrays(*(tmp_path / name / "weights.npz" for name in ("whole", "parts")))
    whole, parts = (arrays(tmp_path / name / "film.npz") for name in ("whole", "parts"))
    assert_array_equal(whole["step"], [0, 2, 4, 5])
    assert whole.keys() == parts.keys()
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    pictures = [{p.name for p in (tmp_path / name).glob("*.png")} for name in ("whole", "parts")]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task", "Q"), "task is 'Q'; expected one of 'R', 'RTS', 'P', 'E', 'TC', 'addition'"),
        (("--model", "rnn"), "model is 'rnn'; expected one of 'fcn', 'cnn', 'st-fcn', 'st-cnn'"),
        (("--transformation", "swirl"), "transformation is 'swirl'; expected one of 'affine'"),
        (("--transformers", 0), "transformers is 0; expected an integer of at least 1"),
        (
            ("--model", "st-cnn", "--transformers", 3),
            "transformers is 3; two convolutions have room for 2",
        ),
        (("--steps", -1), "steps is -1; expected an integer of at least 0"),
        (("--seconds", -1), "seconds is -1.0; expected 0 or more"),
        (("--seconds", "nan"), "seconds is nan; expected a finite number"),
        (("--seed", -1), "expected non-negative integer"),
        (("--download",), "there is nowhere to download to: name a directory with --data"),
    ],
)
def test_bad_options_are_errors_with_status_2(options, message, quick, tmp_path, capsys):
    limited = {"--steps", "--seconds"} & set(options)
    assert train(tmp_path, *options, *(() if limited else ("--steps", 0))) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("python -m stn_ref train: ") and message in captured.err
    assert not captured.out


def test_steps_and_seconds_exclude_each_other(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, "--steps", 1, "--seconds", 1)
    assert stop.value.code == 2 and "not allowed with" in capsys.readouterr().err


def test_data_may_be_named_or_in_the_environment(tmp_path, capsys, monkeypatch):
    missing = "train-images-idx3-ubyte is not in "
    named_one, other = tmp_path / "named", tmp_path / "environment"
    monkeypatch.setenv("STN_REF_DATA", str(other))
    assert train(tmp_path, "--steps", 1) == 2
    assert f"{missing}{other}" in capsys.readouterr().err
    assert train(tmp_path, "--steps", 1, "--data", named_one) == 2
    assert f"{missing}{named_one}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "seconds", "steps"),
    [((), 60.0, None), (("--seconds", 2), 2.0, None), (("--steps", 0), None, 0)],
)
def test_a_minute_on_one_thread_unless_something_else_is_asked_for(
    options, seconds, steps, tmp_path, monkeypatch
):
    for library in ("OPENBLAS", "NUMBA"):
        monkeypatch.delenv(f"{library}_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    asked = []
    monkeypatch.setattr(job, "train", lambda given: asked.append(given) or {})
    assert train(tmp_path, *options) == 0
    assert asked == [job.Job(seconds=seconds, steps=steps, out=tmp_path)]
    threads = [os.environ[f"{name}_NUM_THREADS"] for name in ("OPENBLAS", "NUMBA", "OMP")]
    assert threads == ["1", "1", "3"]


def test_an_untrained_network_guesses(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "digits", digits)
    result = job.train(job.Job(task="R", model="fcn", steps=0, out=tmp_path))
    assert 80 < result["error_percent"] < 97 and result["steps"] == 0
    assert not {"transformation", "transformers"} & set(result), "there is none"
    assert {path.name for path in tmp_path.iterdir()} == FILES, "there is nothing to film"


def test_every_network_is_tested_on_the_same_digits(quick, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(job, "error_percent", lambda m, p, x, y: seen.append((x, y)) or 0.0)
    for seed, model in enumerate(("fcn", "cnn")):
        job.train(job.Job(task="P", model=model, seed=seed, steps=0, out=tmp_path / model))
    truth = distort(TASKS["P"], quick.x_test, quick.y_test, np.random.default_rng(2015))
    for x, y in seen:
        assert_array_equal(x, truth.images)
        assert_array_equal(y, truth.labels)


# --- turning upright ---


def test_a_job_with_rotations_says_how_the_angles_go_together(quick, tmp_path):
    result = job.train(job.Job(task="R", transformation="rotation", steps=2, out=tmp_path))
    assert -1 <= result["angle_correlation"] <= 1


def test_the_angle_that_undoes_the_turn_correlates_with_it(rng):
    """A network that reads its angle off a pixel."""
    images, angle = rng.uniform(-1, 1, (10, 3, 3, 1)), rng.uniform(-1, 1, (10, 1))
    images[:, 0, 0] = angle
    look = SpatialTransformer(Flatten(), transformation=ROTATION, backend="reference")
    for model in (Sequential(look), Sequential(Parallel(look, look))):
        params, _ = model.initialise(rng, (3, 3, 1))
        of = lambda task: job.turned_upright(model, params, images, angle, task, batch=4)  # noqa: B023, E731
        assert of(TASKS["R"]) == {"angle_correlation": 0}, "all are turned alike"
        W = next(leaf for name, leaf in named(params) if name.endswith("W"))
        for share in (-1, 1):
            W[0] = share
            assert of(TASKS["R"]) == {"angle_correlation": -share}
            assert of(TASKS["TC"]) == {}, "digits stand upright"
    for model in (Sequential(SpatialTransformer(Flatten(), backend="reference")), Flatten()):
        params, _ = model.initialise(rng, (3, 3, 1))
        assert job.turned_upright(model, params, images, angle, TASKS["R"]) == {}


# --- networks ---


@pytest.mark.parametrize("task", [TASKS[name] for name in job.JOBS], ids=job.JOBS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("transformers", [1, 2])
def test_every_network_fits_every_task(model, task, transformers, rng):
    built = on_reference(network(model, task, transformers=transformers))
    shape = (task.size, task.size, task.digits)
    params, classes = built.initialise(rng, shape)
    z, _ = built.forward(cast(params, np.float32), np.zeros((1, *shape), np.float32))
    assert classes == z.shape[1:] == (task.classes,)
    looks = [name for name, _ in named(params) if name.endswith("f_loc/2/b")]
    assert len(looks) == (transformers if model.startswith("st") else 0)
    if model.endswith("fcn"):
        classifier = params[1:] if model == "st-fcn" else params
        assert 0.88 < count(classifier) / 400_000 < 1.02, "whatever it looks at"
    if model.endswith("cnn"):
        assert 50_000 < count(params) < 150_000


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_every_transformer_of_a_network_has_the_transformation_asked_for(name):
    for model in ("st-fcn", "st-cnn"):
        for task in ("R", "TC"):
            built = network(model, TASKS[task], transformation=name, transformers=2)
            layers = [
                inner
                for layer in built.layers
                for inner in (layer.layers if isinstance(layer, Parallel) else [layer])
                if isinstance(inner, SpatialTransformer)
            ]
            assert [layer.transformation for layer in layers] == [TRANSFORMATIONS[name]] * 2


def test_one_before_each_convolution_or_side_by_side():
    series = network("st-cnn", TASKS["TC"], transformers=2)
    assert [type(layer).__name__ for layer in series.layers[:5]] == [
        "SpatialTransformer", "Conv2d", "MaxPool2d", "Relu", "SpatialTransformer"]  # fmt: skip
    assert series.layers[0].size == (28, 28) and series.layers[4].size is None
    assert network("st-cnn", TASKS["R"]).layers[0].size is None
    side = network("st-fcn", TASKS["addition"], transformers=2)
    assert isinstance(side.layers[0], Parallel) and len(side.layers[0].layers) == 2


@pytest.mark.parametrize(
    ("model", "task"), [("st-fcn", "addition"), ("st-cnn", "RTS")], ids=["parallel", "series"]
)
def test_two_transformers_train_side_by_side_and_in_series(model, task, quick, rng):
    """A few digits are learnt by heart, and every weight has a part in it."""
    found, task = digits(dtype=np.float32), TASKS[task]
    x, y, *_ = distort(task, found.x_train[::300], found.y_train[::300], rng)
    built = on_reference(network(model, task, transformers=2))
    params = cast(built.initialise(rng, x.shape[1:])[0], np.float32)
    training = fit(built, params, x, y, optimiser=Adam(3e-3), rng=rng, steps=15)
    losses = [loss for loss, _ in training.history]
    assert losses[-1] < 0.7 * losses[0]
    before, after = dict(named(params)), dict(named(training.params))
    assert sum("f_loc" in name for name in after) >= 8
    assert all(not np.array_equal(before[name], after[name]) for name in after)
    assert error_percent(built, training.params, x, y) < error_percent(built, params, x, y)


# --- films ---


def test_each_of_several_transformers_has_a_film_of_its_own(quick, undrawn, tmp_path):
    options = {"task": "addition", "transformers": 2, "out": tmp_path}
    job.train(job.Job(steps=2, **options))
    pictures = {path.name for path in tmp_path.glob("*.png")}
    names = ("film", "step_000000", "step_000002")
    assert pictures == {f"{name}_{k}.png" for name in names for k in (1, 2)}
    kept = arrays(tmp_path / "film.npz")
    assert kept["U0"].shape == kept["V1"].shape == (2, 4, 42, 42, 2)
    assert kept["xy0"].shape == (2, 4, 42, 42, 2) and kept["xy0"].dtype == np.float32
    lattice = np.stack(np.meshgrid(np.arange(42.0), np.arange(42.0)), axis=-1)
    for k in (0, 1):
        assert_array_equal(kept[f"U{k}"], kept[f"V{k}"][[0, 0]])  # at first nothing is warped
        assert_allclose(kept[f"xy{k}"][0], np.stack([lattice] * 4), atol=1e-4)
        assert not np.allclose(kept[f"xy{k}"][1], kept[f"xy{k}"][0], atol=1e-2)


@pytest.fixture
def filmed(rng):
    """A model, images, and its training after so many steps."""
    model = Sequential(SpatialTransformer(Flatten(), backend="reference"), Flatten(), Dense(2))
    images = rng.uniform(size=(2, 4, 4, 1))
    params, _ = model.initialise(rng, (4, 4, 1))

    def moment(step):
        moved = mapped(lambda leaf: leaf + 0.01 * step, params)
        return job.Training(moved, {}, np.arange(2), 0, {}, step, [])

    return model, images, moment


@pytest.fixture
def drawn(monkeypatch):
    """The names of pictures, which are not drawn."""
    names = []
    monkeypatch.setattr(film, "save", lambda figure, path: names.append(path.stem))
    monkeypatch.setattr(film, "training_film", len)
    return names


def test_however_long_a_training_is_its_film_stays_short(filmed, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(film, "LONG", 8)
    model, images, moment = filmed
    taken = film.Film(model, images, tmp_path, resume=False)
    kept = {}
    for step in range(0, 102, 2):
        taken.take(moment(step))
        kept[step] = [frames[0].step for frames in taken.frames]
    assert kept[6] == [0, 2, 4, 6]
    assert kept[22] == [0, 4, 8, 12, 16, 20, 22]
    assert kept[100] == [0, 16, 32, 48, 64, 80, 96, 100]
    assert drawn == [f"step_{step:06}" for step in (0, 2, 4, 8, 16, 32, 64)]


def test_a_film_goes_on_where_it_was_left(filmed, drawn, tmp_path):
    model, images, moment = filmed
    whole = film.Film(model, images, tmp_path / "whole", resume=False)
    for step in range(10):
        whole.take(moment(step))
    assert drawn == [f"step_00000{step}" for step in (0, 1, 2, 4, 8)]
    first = film.Film(model, images, tmp_path / "parts", resume=False)
    for step in range(7):
        first.take(moment(step))
    second = film.Film(model, images, tmp_path / "parts", resume=True)
    assert [frames[0].step for frames in second.frames] == list(range(7))
    for step in range(5, 10):  # the checkpoint is older than the film
        second.take(moment(step))
    assert equal_arrays(*(tmp_path / name / "film.npz" for name in ("whole", "parts")))
    assert not film.Film(model, images, tmp_path / "parts", resume=False).frames


def test_a_strip_has_a_column_a_frame_and_two_rows_an_image(rng):
    lattice = np.stack(np.meshgrid(np.arange(5.0), np.arange(10.0)), axis=-1)
    U, V = rng.uniform(size=(2, 4, 5, 3)), rng.uniform(size=(2, 10, 5, 3))
    frames = [plots.Frame(step, U, np.stack([lattice] * 2), V) for step in (0, 10, 300)]
    axes = plots.training_film(frames, "title")
    figure = axes[0, 0].figure
    assert axes.shape == (4, 3) and figure.get_suptitle() == "title"
    assert [ax.get_title() for ax in axes[0]] == ["step 0", "step 10", "step 300"]
    assert_allclose(axes[0, 0].images[0].get_array(), U[0].mean(axis=-1))
    assert_allclose(axes[3, 2].images[0].get_array(), V[1].mean(axis=-1))
    figure.canvas.draw()
    for above, below in (column[:2] for column in axes.T):
        boxes = [ax.get_window_extent() for ax in (above, below)]
        assert 0 < boxes[0].y0 - boxes[1].y1 < 0.3 * boxes[0].height, "no gap, though not square"
        assert min(box.width for box in boxes) > 0.85 * figure.bbox.width / 3, "and none is small"
    assert axes[1, 0].images[0].get_clim() == (0, U[0].mean(axis=-1).max())
    matplotlib.pyplot.close(figure)


def test_the_frames_shown_are_close_together_at_the_start():
    shown = films.every_so_often(list(range(101)), 7)
    assert shown == [0, 3, 11, 25, 44, 69, 100]
    assert films.every_so_often(list(range(18)), 7) == [0, 1, 2, 4, 8, 12, 17]
    for frames in (range(5, 5 + n) for n in range(1, 60)):
        found = films.every_so_often(frames, 7)
        assert found[0] == 5 and found[-1] == frames[-1]
        assert found == sorted(set(found)) and len(found) == min(len(frames), 7)
