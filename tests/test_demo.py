"""The command line, run as a newcomer runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from stn_ref import demo, progress
from stn_ref.__main__ import main
from stn_ref.proofs import checks

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
        timeout=120,
        **({"text": True} | options),
    )


def test_the_demo_prints_a_trace_a_line_an_equation_and_names_every_figure(tmp_path):
    run = python("-m", "stn_ref", "demo", "--quick", "--out", tmp_path / "new" / "figures")
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    written = {path.name: path.stat().st_size for path in (tmp_path / "new" / "figures").iterdir()}
    assert set(written) == FIGURES and min(written.values()) > 5_000
    for name in FIGURES:
        assert str(tmp_path / "new" / "figures" / name) in run.stdout
    lines = re.findall(r"^.* +(\d+) checks   error .*$", run.stdout, re.MULTILINE)
    assert 10 < len(lines) < 25 and sum(map(int, lines)) == len(list(checks.all_checks()))
    assert ", 0 wrong" in run.stdout and "WRONG" not in run.stdout
    assert run.stdout.index("∂V/∂U_nm") < run.stdout.index(" checks ")


def test_check_tells_what_of_each_equation_it_checks(capsys, monkeypatch):
    some = list(checks.all_checks())[::40]
    monkeypatch.setattr(demo, "all_checks", lambda: some)
    assert main(["check", "--verbose"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name, _ in some)
    for name, equation in (
        ("thin plate spline 3-D.grid, forward · §3.2", ("§3.2", "T_θ(G), forward")),
        ("piecewise affine, dB · §3.2", ("§3.2", "a basis")),
        ("sample · Eq. 7 · on knots, tie=left", ("Eq. 7", "sample")),
    ):
        assert demo.equation_of(name) == equation


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "command",
    [
        *("paper", "check --help", "demo --help", "train --help", "vectors --help", "info"),
        *("explore --save it.png", "train --task nothing", "bench --quick --backend cuda"),
        "train --steps 2 --model fcn --out it",
    ],
)
def test_every_console_can_print_what_is_said(command, encoding, tmp_path):
    plain = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path.cwd())}
    run = python("-m", "stn_ref", *command.split(), cwd=tmp_path, env=plain, encoding=encoding)
    assert run.returncode in (0, 2) and "Traceback" not in run.stderr, run.stderr
    assert "?" not in run.stdout
    if command == "paper":
        assert ("Sec. 3.1" if encoding == "ascii" else "§3.1") in run.stdout


def test_signs_that_a_console_has_not_are_typed():
    main([])  # which knows how
    text = "θ ∂V/∂x − ½ · 2² ⌊x⌋ é → 漢"
    assert text.encode("ascii", "plain") == b"theta dV/dx - 1/2 - 2^2 floor(x) e -> ?"
    assert text.encode("cp1252", "plain") == "theta dV/dx - ½ · 2² floor(x) é -> ?".encode("cp1252")
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", "plain")


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
    assert "6 wrong" in out and "claimed" in out


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


@pytest.mark.parametrize("command", ["paper", "demo", "explore", "check", "info"])
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
