"""Our networks beside the same in torch: values, gradients, and the benchmark of both."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from stn_ref import nn
from stn_ref.bench import networks
from stn_ref.bench.networks import Step, case, check, ours, torchs, twin
from stn_ref.data import TASKS
from stn_ref.equations import PROJECTIVE, keys
from stn_ref.experiments.models import MODELS, network

HERE = [
    *((task, model, 1) for task in ("R", "RTS", "addition") for model in MODELS),
    *(("addition", model, 2) for model in ("st-fcn", "st-cnn")),
]


def one(task="R", model="cnn", transformers=1):
    net = network(model, TASKS[task], transformers=transformers)
    return case(net, task, 6, np.random.default_rng(1), np.float64)


@pytest.mark.parametrize("task, model, transformers", HERE)
def test_a_network_and_its_gradients_are_torchs(task, model, transformers):
    pytest.importorskip("torch")
    c = one(task, model, transformers)
    check(model, ours(c), torchs(c), 1e-9)


def test_layers_in_unusual_numbers_are_torchs():
    pytest.importorskip("torch")
    look = nn.SpatialTransformer(nn.convolutional(3), size=(21, 17), align_corners=False)
    first = nn.Parallel(nn.Conv2d(2, 3, padding=2), nn.Conv2d(3, 5, padding=3))
    rest = nn.Conv2d(4, 4, stride=3), nn.Relu(), nn.AveragePool2d(2), nn.Flatten(), nn.Dense(10)
    c = case(nn.Sequential(first, look, *rest), "R", 5, np.random.default_rng(2), np.float64)
    check("unusual", ours(c), torchs(c), 1e-9)


@pytest.mark.parametrize("options", networks.TORCHS.values(), ids=str)
def test_all_of_torchs_ways_agree_and_leave_the_weights_alone(options):
    pytest.importorskip("torch")
    c = one()
    step, peer = ours(c), torchs(c, **options)
    for _ in range(3):
        check("cnn", step, peer, 1e-9)
        step.run()
        peer.run()


@pytest.mark.parametrize("layer", [nn.Dense, nn.Conv2d])
def test_a_wrong_gradient_is_not_timed(layer, monkeypatch):
    pytest.importorskip("torch")
    c, right = one(), layer.backward_to_params

    def wrong(self, dy, cache):
        dparams = right(self, dy, cache)
        return {**dparams, "b": dparams["b"] * 1.01}

    monkeypatch.setattr(layer, "backward_to_params", wrong)
    with pytest.raises(AssertionError, match="cnn: the gradient of ./b is off by"):
        check("cnn", ours(c), torchs(c), 1e-3)


def made(loss, *leaves):
    return Step(lambda: (loss, tuple(np.array(leaf) for leaf in leaves)), lambda: None)


def test_what_is_right_passes():
    check("", made(2.0, [3.0, 4.0], [0.0]), made(2.00001, [3.0004, 4.0], [0.0]), 1e-4)


@pytest.mark.parametrize("loss", [2.0001, 1.9999, np.nan])
def test_a_wrong_loss_is_named(loss):
    with pytest.raises(AssertionError, match=f"st-fcn: the loss is {loss}; expected 2.0"):
        check("st-fcn", made(loss, [1.0]), made(2.0, [1.0]), 1.0)


@pytest.mark.parametrize("leaf", [[3.001, 4.0], [3.0, np.nan]])
def test_a_wrong_gradient_is_named(leaf):
    with pytest.raises(AssertionError, match="st-fcn: the gradient of 1 is off by .* of 5.0"):
        check("st-fcn", made(2.0, [1.0], leaf), made(2.0, [1.0], [3.0, 4.0]), 1e-4)


@pytest.mark.parametrize(
    "options",
    [{"transformation": PROJECTIVE}, {"kernel": keys()}, {"padding": "border"}],
    ids=["projective", "keys", "border"],
)
def test_torch_has_no_other_transformer(options):
    pytest.importorskip("torch")
    look = nn.SpatialTransformer(nn.fully_connected(4), **options)
    with pytest.raises(ValueError, match="torch has no SpatialTransformer"):
        twin(look, {}, None)


def test_threads_of_products_are_counted_by_the_time_they_take(monkeypatch):
    process, thread = iter([11.0, 17.1]), iter([1.0, 4.0])
    clocks = {"process_time": lambda: next(process), "thread_time": lambda: next(thread)}
    monkeypatch.setattr(networks, "time", SimpleNamespace(**clocks))
    assert networks.blas_threads() == 2


@pytest.fixture
def alone(monkeypatch):
    """In a process with as many threads as it likes, without torch."""
    monkeypatch.setattr(networks, "use_threads", lambda number: None)
    monkeypatch.setattr(networks, "blas_threads", lambda: 1)
    monkeypatch.setattr(networks, "installed", list)
    monkeypatch.setattr(networks, "NETWORKS", [("R", "st-fcn")])


def test_two_threads_against_one_are_refused(alone, monkeypatch):
    monkeypatch.setattr(networks, "blas_threads", lambda: 2)
    with pytest.raises(ValueError, match="on 2 threads, torch's on 1: set OPENBLAS_NUM_THREADS=1"):
        networks.measure(quick=True, seconds=0.0, seed=0)


def test_without_torch_our_time_stands_alone_and_says_so(alone, tmp_path, capsys):
    networks.bench(tmp_path / "networks.json", quick=True)
    (row,) = json.loads((tmp_path / "networks.json").read_text())["rows"]
    assert row["milliseconds"]["ours"] > 0 and row["ratio"] == {}
    assert "torch is not installed" in capsys.readouterr().out


def test_the_table_has_torch_as_it_comes_and_at_its_best():
    row = {"task": "R", "model": "st-fcn", "weights": 9, "milliseconds": {"ours": 2.0}}
    ratio = {"torch": 1.5, "torch, fused Adam": 1.25}
    line = networks.table({"rows": [{**row, "ratio": ratio}]}).splitlines()[1]
    assert line.split() == ["R", "st-fcn", "9", "2.00", "1.50", "1.25"]


def test_a_quick_run_writes_a_row_for_each_network(tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "b" / "networks.json"
    command = ["bench", "--networks", "--quick", "--out", str(out)]
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    run = subprocess.run(
        [sys.executable, "-m", "stn_ref", *command], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(out.read_text())
    assert result["machine"]["blas_threads"] == 1 and "torch" in result["machine"]
    assert [(row["task"], row["model"]) for row in result["rows"]] == networks.NETWORKS
    for row in result["rows"]:
        times = row["milliseconds"]
        assert row["ratio"] == {n: times[n] / times["ours"] for n in networks.TORCHS}
        assert row["model"] in run.stdout and row["batch"] == networks.QUICK
