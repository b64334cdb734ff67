"""The command line, run as a newcomer runs it."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from stn_ref import demo, progress
from stn_ref.__main__ import main
from stn_ref.proofs import checks
from stn_ref.proofs.gradcheck import Report, Row

ROOT = Path(__file__).parents[1]

FIGURES = {
    "module.png",
    "warped_grids.png",
    "every_transformation.png",
    "spline.png",
    "kernels.png",
    "paddings.png",
    "shrinking.png",
    "trace.png",
    "knot.png",
}


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_the_demo_prints_a_trace_then_the_table_and_names_every_figure(tmp_path):
    run = python("-m", "stn_ref", "demo", "--quick", "--out", tmp_path / "new" / "figures")
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    written = {path.name: path.stat().st_size for path in (tmp_path / "new" / "figures").iterdir()}
    assert set(written) == FIGURES and min(written.values()) > 5_000
    for name in FIGURES:
        assert str(tmp_path / "new" / "figures" / name) in run.stdout
    assert ", 0 wrong" in run.stdout and "WRONG" not in run.stdout
    assert run.stdout.index("∂V/∂U_nm") < run.stdout.index("worst error / bound")
    lines = run.stdout[run.stdout.index("equation  ") :].splitlines()[1:]
    table = [line for line in lines if line.endswith("  ok")]
    cases = [int(line[45:51]) for line in table]
    assert len(table) < 20 and sum(cases) == len(list(checks.all_checks()))


def test_every_check_is_printed_to_whom_asks_for_it(monkeypatch, capsys):
    few = list(checks.all_checks())[::10]
    monkeypatch.setattr(demo, "all_checks", lambda: few)
    for options, times in ([], 0), (["--verbose"], 1):
        assert main(["check", *options]) == 0
        shown = capsys.readouterr().out
        assert all(shown.count(f"{name:<80} ") == times for name, _ in few)


def test_the_table_has_a_line_an_equation_with_its_worst_case(monkeypatch, capsys):
    def found(error):
        return lambda rng: Report((Row(0, 1.0, (1.0,), error),), 1e-7)

    few = [("a.f · Eq. 8", found(1e-8)), ("b.f · Eq. 8 · c", found(5e-8)), ("g · §4", found(2e-7))]
    monkeypatch.setattr(demo, "all_checks", lambda: few)
    assert not demo.print_checks()
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Eq.", "8", "f", "2", "5.0e-01", "ok"] in shown
    assert ["§4", "g", "1", "2.0e+00", "WRONG"] in shown


NAMES = ["paper", "demo", "explore", "check", "bench", "train", "vectors", "info"]
COMMANDS = [  # all that there are, and mistakes
    *("", "paper", "demo --quick", "check --verbose", "info", "explore --save it.png", "vectors"),
    *("train --steps 1", "bench --quick", "train --task θ", "explore --image θ.png", "explore"),
    *("--help", *(f"{name} --help" for name in NAMES)),
]
RUN = """
import sys
from stn_ref import demo
from stn_ref.__main__ import main

few = list(demo.all_checks())[::15]
demo.all_checks = lambda: few
for command in sys.argv[1:]:
    try:
        main(command.split())
    except SystemExit:
        pass
"""


def test_what_an_encoding_lacks_is_spelt_and_what_it_has_is_kept():
    said = "∂L/∂θ × ½ Σ 漢"
    assert said.encode("ascii", "stn_ref.spelt") == rb"dL/dtheta x 1/2 sum \u6f22"
    assert said.encode("cp1252", "stn_ref.spelt") == rb"dL/dtheta %b %b sum \u6f22" % (
        b"\xd7",
        b"\xbd",
    )
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", "stn_ref.spelt")


@pytest.mark.slow
def test_a_console_of_few_letters_shows_everything_and_the_directory_stays_clean(tmp_path):
    here = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    here |= {"MPLBACKEND": "agg", "NUMBA_NUM_THREADS": "1"}  # else training asks for that too late
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, *COMMANDS],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | here,
        timeout=300,
    )
    out, errors = run.stdout.decode("ascii"), run.stderr.decode("ascii")
    assert run.returncode == 0, errors
    assert "Eq. 2   dtheta" in out and "play with theta" in out and "dV/dU_nm" in out
    assert "theta.png" in errors and "'theta'" in errors
    assert "\\u" not in out + errors and "Traceback" not in errors
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"output", "vectors", "it.png"}
    assert {"module.png", "cpu.json", "roofline_cpu.png", "training"} <= {
        path.name for path in (tmp_path / "output").iterdir()
    }


def test_git_ignores_what_commands_write():
    ignored = (ROOT / ".gitignore").read_text().split()
    assert "/output/" in ignored and "/vectors/" in ignored


def test_without_a_command_three_ways_in_are_shown_and_help_shows_defaults(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    for command in ("paper", "explore", "demo", "train", "vectors"):
        assert f"python -m stn_ref {command} " in shown
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "R, RTS, P, E, TC or addition (default: RTS)" in shown
    assert "None" not in shown and "False" not in shown


def test_the_same_demo_writes_the_same_bytes(tmp_path):
    matplotlib.use("agg")
    for out in (tmp_path / "a", tmp_path / "b"):
        out.mkdir()
        demo.draw(out, dpi=40)
    for name in FIGURES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_directory_that_cannot_be_written_is_a_clear_error(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 2
    captured = capsys.readouterr()
    assert f"cannot write figures to {tmp_path / 'file'}: File exists" in captured.err
    assert not captured.out


def test_check_exits_with_an_error_if_a_gradient_is_wrong(monkeypatch, capsys):
    few = [(name, check) for name, check in checks.all_checks() if "to_pixels" in name]
    monkeypatch.setattr(demo, "all_checks", lambda: few)
    assert main(["check"]) == 0
    right = checks.eq.to_pixels_backward
    monkeypatch.setattr(
        checks.eq, "to_pixels_backward", lambda *args, **kwargs: 1.01 * right(*args, **kwargs)
    )
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert "6 wrong" in out and "claimed" in out and few[0][0] in out


def test_info_names_versions_and_backends(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "stn_ref 0.1" in out and "numpy" in out and "backend reference: available" in out


@pytest.mark.parametrize("command", [["nothing"], ["demo", "--outt"]])
def test_a_wrong_command_line_is_an_error(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("command", NAMES)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and "usage" in capsys.readouterr().out


def test_progress_is_silent_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1)
    assert list(progress.progress("abc", "letters")) == ["a", "b", "c"]
    assert not capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress.progress("abc", "letters")) == ["a", "b", "c"]
    assert "letters" in capsys.readouterr().err
