"""The benchmark: it checks before it times, and writes what it measured."""

import json

import numpy as np
import pytest

from stn_ref import backends
from stn_ref.bench import contest
from stn_ref.bench import cpu as bench
from stn_ref.equations import BILINEAR, keys


@pytest.fixture
def one():
    return contest.case((2, 3, 12, 10), "planar", keys(), np.random.default_rng(0))


def test_what_is_right_passes(one, rng):
    contest.check(one, rng)
    contest.check(contest.case((1, 5, 9, 9), "channels last", BILINEAR, rng), rng)
    contest.check(contest.case((2, 3, 6, 5, 7), "planar", BILINEAR, rng), rng)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        *(("sample", 0), ("sample_backward", 0), ("sample_backward", 1)),
        *(("transform", 0), ("transform_backward", 0), ("transform_backward", 1)),
    ],
)
def test_what_is_wrong_is_not_timed(one, rng, monkeypatch, name, at):
    """One result of the CPU backend is off by a hundredth."""
    cpu = backends.get("cpu")
    right = getattr(cpu, name)

    def wrong(*arguments, **options):
        result = right(*arguments, **options)
        if not isinstance(result, tuple):
            return result * np.float32(1.01)
        return tuple(r * np.float32(1.01) if n == at else r for n, r in enumerate(result))

    monkeypatch.setattr(cpu, name, wrong)
    with pytest.raises(AssertionError, match=r"\(2, 3, 12, 10\) planar keys"):
        contest.check(one, rng)


def test_a_quick_run_writes_numbers_and_their_picture(tmp_path, capsys):
    import numba

    threads = numba.get_num_threads()
    bench.bench(tmp_path / "b" / "cpu.json", tmp_path / "roofline.png", quick=True)
    numba.set_num_threads(threads)
    result = json.loads((tmp_path / "b" / "cpu.json").read_text())
    assert result["machine"]["numpy"] == np.__version__
    assert {row["threads"] for row in result["rows"]} == {1, numba.config.NUMBA_NUM_THREADS}
    assert {row["task"] for row in result["rows"]} == set(contest.TASKS)
    for row in result["rows"]:
        times = row["milliseconds"]
        assert times["ours"] > 0
        assert row["ratio"]["copy"] == times["copy"] / times["ours"]
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")
    assert "grid forward" in capsys.readouterr().out
