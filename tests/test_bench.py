"""The benchmark: it checks before it times, and writes what it measured."""

import json

import numpy as np
import pytest

from stn_ref import backends, bench
from stn_ref.equations import BILINEAR, keys


@pytest.fixture
def one():
    return bench.case((2, 3, 12, 10), "planar", keys(), np.random.default_rng(0))


def test_what_is_right_passes(one, rng):
    bench.check(one, rng)
    bench.check(bench.case((1, 5, 9, 9), "channels last", BILINEAR, rng), rng)


@pytest.mark.parametrize("task", bench.TASKS)
def test_what_is_wrong_is_not_timed(one, rng, monkeypatch, task):
    """One value off by a hundredth in what the CPU backend gives."""
    names = ("sample", "transform", "sample_backward", "transform_backward")
    name = dict(zip(bench.TASKS, names, strict=True))[task]
    cpu = backends.get("cpu")
    right = getattr(cpu, name)

    def wrong(*arguments, **options):
        result = right(*arguments, **options)
        if isinstance(result, tuple):
            return (result[0] * np.float32(1.01), *result[1:])
        return result * np.float32(1.01)

    monkeypatch.setattr(cpu, name, wrong)
    with pytest.raises(AssertionError, match=r"\(2, 3, 12, 10\) planar keys"):
        bench.check(one, rng)


def test_a_quick_run_writes_numbers_and_their_picture(tmp_path, capsys):
    import numba

    threads = numba.get_num_threads()
    bench.bench(tmp_path / "b" / "cpu.json", tmp_path / "roofline.png", quick=True)
    numba.set_num_threads(threads)
    result = json.loads((tmp_path / "b" / "cpu.json").read_text())
    assert result["machine"]["numpy"] == np.__version__
    assert {row["threads"] for row in result["rows"]} == {1, numba.config.NUMBA_NUM_THREADS}
    assert {row["task"] for row in result["rows"]} == set(bench.TASKS)
    for row in result["rows"]:
        times = row["milliseconds"]
        assert times["ours"] > 0
        assert row["ratio"]["copy"] == times["copy"] / times["ours"]
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")
    assert "grid forward" in capsys.readouterr().out
