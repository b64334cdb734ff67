"""The command line: `python -m stn_ref paper | demo | check | explore | train | …`."""

from __future__ import annotations

import argparse
import codecs
import json
import os
import platform
import re
import runpy
import sys
import unicodedata
from importlib import metadata
from pathlib import Path
from typing import Any

import stn_ref

DOORS = """\
Spatial Transformer Networks, the reference. Three ways in:

  read    python -m stn_ref paper      section 3 on one page, run on a digit
  play    python -m stn_ref explore    a window: drag the points, see the grid and the gradient
          python -m stn_ref demo       check every gradient, draw section 3 (--out DIR)
          python -m stn_ref train      train one of the paper's networks
  test    python -m stn_ref vectors    golden vectors for a sampler of yours

Also check, bench and info; --help says more, of each command too."""


PLAIN = {  # for a console that has no such sign
    "θ": "theta", "Φ": "Phi", "λ": "lambda", "σ": "sigma", "∂": "d", "Σ": "sum", "√": "sqrt",
    "×": "x", "−": "-", "·": "-", "—": "-", "…": "...", "∘": "o", "→": "->", "↦": "|->",
    "≤": "<=", "≥": ">=", "±": "+-", "⌊": "floor(", "⌋": ")", "⟨": "<", "⟩": ">", "⁄": "/",
    "§": "Sec. ", "°": " degrees", "²": "^2", "ᵀ": "^T", "⁻": "^-", "∞": "inf",
}


def plain(error: UnicodeError) -> tuple[str, int]:
    """A handler for codecs: what cannot be encoded, in ASCII as one would type it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    known = (PLAIN.get(c) or unicodedata.normalize("NFKD", c) for c in signs)  # ½ is 1⁄2
    typed = "".join(PLAIN.get(c, c) for c in "".join(known))
    return typed.encode("ascii", "ignore").decode() or "?", error.end


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults the usual way, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        none = action.default is None or action.default is False
        return action.help if none else super()._get_help_string(action)


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status is 0 unless a check failed (1) or an argument is bad (2).

    130 if training was interrupted.
    """
    codecs.register_error("plain", plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")
    parser = argparse.ArgumentParser(prog="python -m stn_ref", description=stn_ref.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("paper", help="run section 3's page: each equation on a digit")
    demo = commands.add_parser("demo", help="check the gradients and draw section 3 on digits")
    demo.add_argument("--out", type=Path, default=Path("output"), help="where figures go")
    demo.add_argument("--quick", action="store_true", help="draw at low resolution")
    explore = commands.add_parser("explore", help="open a window to play with θ in")
    explore.add_argument("--image", type=Path, help="a PNG, JPEG, …; a digit unless given")
    explore.add_argument("--save", type=Path, help="write a picture of the window instead")
    check = commands.add_parser("check", help="hold every gradient against finite differences")
    for command in (demo, check):
        command.add_argument("--verbose", action="store_true", help="print a line for each check")
    bench = commands.add_parser("bench", help="time a backend beside PyTorch and OpenCV")
    which = bench.add_mutually_exclusive_group()
    which.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="which to time")
    which.add_argument("--networks", action="store_true", help="time training beside PyTorch")
    bench.add_argument("--out", type=Path, help="the numbers, output/NAME.json unless given")
    bench.add_argument("--figure", type=Path, default=Path("output/roofline_cpu.png"))
    bench.add_argument("--quick", action="store_true", help="tiny shapes, a few repeats")
    bench.add_argument("--seed", type=int, default=0, help="of the maps and the drawn shapes")
    add_train(commands)
    vectors = commands.add_parser("vectors", help="write golden vectors for ports to read")
    vectors.add_argument("--out", type=Path, default=Path("vectors"), help="where the files go")
    commands.add_parser("info", help="versions, and the backends that can run here")
    for command in commands.choices.values():
        command.formatter_class = Help
    arguments = parser.parse_args(argv)

    if arguments.command is None:
        print(DOORS)
        return 0
    if arguments.command == "info":
        return info()
    if arguments.command == "paper":
        runpy.run_module("stn_ref.paper", run_name="__main__")
        return 0
    try:
        return run(arguments)
    except (OSError, ValueError, FloatingPointError) as error:
        message = re.sub(r"\b(resume|download)=True", r"--\1", str(error))  # as it is said here
        print(f"python -m stn_ref {arguments.command}: {message}", file=sys.stderr)
        return 2


def add_train(commands: Any) -> None:
    """The options of `train`."""
    parser = commands.add_parser(
        "train", help="train one of the paper's networks on distorted digits"
    )
    add = parser.add_argument
    add("--task", default="RTS", help="R, RTS, P, E, TC or addition")
    add("--model", default="st-fcn", help="fcn, cnn, st-fcn or st-cnn")
    add(
        "--transformation",
        default="affine",
        help="affine, projective, tps, rotation, attention, translation, similarity",
    )
    add("--transformers", type=int, default=1, help="how many, side by side; in a CNN in series")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--seconds", type=float, help="of processor time, 60 unless --steps is given"
    )
    limit.add_argument("--steps", type=int, help="batches of 256")
    add("--seed", type=int, default=0, help="of weights, batches and distortions")
    add(
        "--data",
        type=Path,
        help="with MNIST's files; unless given, $STN_REF_DATA, or the digits shipped",
    )
    add("--download", action="store_true", help="fetch what is missing there")
    add("--out", type=Path, default=Path("training"), help="where results go")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")


def run(arguments: argparse.Namespace) -> int:
    """Run a command that may write files."""
    if arguments.command == "vectors":
        from stn_ref.oracle.vector_files import write

        print(*write(arguments.out, version=stn_ref.__version__), sep="\n")
        return 0
    if arguments.command != "explore" or arguments.save:
        os.environ["MPLBACKEND"] = "agg"
    if arguments.command == "explore":
        from stn_ref.plots.explore import explore

        explore(arguments.image, arguments.save)
        return 0
    if arguments.command == "train":
        return train_of(arguments)
    if arguments.command == "bench":
        return bench_of(arguments)
    from stn_ref.demo import demo as run_demo
    from stn_ref.demo import print_checks

    if arguments.command == "check":
        return 0 if print_checks(verbose=arguments.verbose) else 1
    ok = run_demo(arguments.out, quick=arguments.quick, verbose=arguments.verbose)
    return 0 if ok else 1


def train_of(arguments: argparse.Namespace) -> int:
    """Train, and print the result; on one thread, unless the environment says how many.

    A second thread gains these small networks nothing, and costs processor time while it waits.
    """
    one_thread()
    from stn_ref.experiments.job import Job, train

    options = vars(arguments)
    if arguments.seconds is None and arguments.steps is None:
        options["seconds"] = 60.0
    if arguments.data is None and os.environ.get("STN_REF_DATA"):
        options["data"] = Path(os.environ["STN_REF_DATA"])
    try:
        result = train(Job(**{name: options[name] for name in Job._fields}))
    except KeyboardInterrupt:
        print("python -m stn_ref train: stopped; --resume goes on", file=sys.stderr)
        return 130
    print(json.dumps(result, indent=1))
    return 0


def one_thread() -> None:
    """Ask every library for one thread, unless the environment says how many."""
    for library in ("OPENBLAS", "MKL", "OMP", "NUMBA"):  # each asks when it is first loaded
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def bench_of(arguments: argparse.Namespace) -> int:
    """Time one backend, or training."""
    name = "networks" if arguments.networks else arguments.backend
    out = arguments.out or Path(f"output/{name}.json")
    if arguments.networks:
        one_thread()
        from stn_ref.bench.networks import bench as bench_networks

        bench_networks(out, quick=arguments.quick, seed=arguments.seed)
        return 0
    if arguments.backend == "cuda":
        from stn_ref.bench.cuda import bench as bench_cuda

        try:
            bench_cuda(out, quick=arguments.quick, seed=arguments.seed)
        except RuntimeError as error:
            print(f"python -m stn_ref bench: {error}", file=sys.stderr)
            return 2
        return 0
    from stn_ref.bench.cpu import bench as bench_cpu

    bench_cpu(out, arguments.figure, quick=arguments.quick, seed=arguments.seed)
    return 0


def info() -> int:
    """Print versions and backends."""
    from stn_ref import backends

    print(f"stn_ref {stn_ref.__version__}, Python {platform.python_version()}, {sys.platform}")
    for package in ("numpy", "numba", "numba-cuda", "matplotlib"):
        try:
            print(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            print(f"{package} is not installed")
    for name in backends.BACKENDS:
        reason = backends.get(name).why_not()
        print(f"backend {name}: {f'not available: {reason}' if reason else 'available'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
