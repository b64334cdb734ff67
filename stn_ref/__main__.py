"""The command line: `python -m stn_ref paper | demo | check | explore | train | …`."""

from __future__ import annotations

import argparse
import codecs
import io
import json
import os
import platform
import re
import runpy
import sys
from importlib import metadata
from pathlib import Path

import stn_ref

OUT = Path("output")  # git ignores it

DOORS = """\
Spatial Transformer Networks, the reference. Three ways in:

  read    python -m stn_ref paper      section 3 on one page, run on a digit
  play    python -m stn_ref explore    a window: drag the points, see the grid and the gradient
          python -m stn_ref demo       trace a pixel, check every gradient, draw section 3
          python -m stn_ref train      train one of the paper's networks
  test    python -m stn_ref vectors    golden vectors for a sampler of yours

Also check, bench and info; --help says more, of each command too."""

SPELT = dict(  # how to write in ASCII what is printed here
    pair.split("=")
    for pair in (
        *("θ=theta", "Φ=Phi", "η=eta", "σ=sigma", "Σ=sum", "∂=d", "′='", "²=^2", "⌊=[", "⌋=]"),
        *("⟨=<", "⟩=>", "−=-", "×=x", "±=+-", "¾=3/4", "½=1/2", "∞=inf", "→=->", "∘=o", "§=sec. "),
        *("·=.", "…=...", "█=#"),
    )
)


def spelt(error: UnicodeError) -> tuple[str, int]:
    """What a console's encoding lacks, in ASCII: an error handler for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = (SPELT.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking)
    return "".join(plain), error.end


codecs.register_error("stn_ref.spelt", spelt)


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults the usual way, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        none = action.default is None or action.default is False
        return action.help if none else super()._get_help_string(action)


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status is 0 unless a check failed (1) or an argument is bad (2).

    130 if training was interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="stn_ref.spelt")
    parser = argparse.ArgumentParser(prog="python -m stn_ref", description=stn_ref.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, purpose: str) -> argparse.ArgumentParser:
        about = f"{purpose[0].upper()}{purpose[1:]}."
        return commands.add_parser(name, help=purpose, description=about, formatter_class=Help)

    command("paper", "run section 3's page: each equation on a digit")
    demo = command("demo", "trace a pixel, check the gradients, draw section 3 on digits")
    demo.add_argument("--out", type=Path, metavar="DIR", default=OUT, help="where figures go")
    demo.add_argument("--quick", action="store_true", help="draw at low resolution")
    explore = command("explore", "open a window to play with θ in")
    add = explore.add_argument
    add("--image", type=Path, metavar="FILE", help="a PNG, JPEG, … (default: a digit)")
    add("--save", type=Path, metavar="FILE", help="write a picture of the window instead")
    check = command("check", "hold every gradient against finite differences")
    for each in (demo, check):
        each.add_argument("--verbose", action="store_true", help="print every check")
    bench = command("bench", "time a backend beside PyTorch and OpenCV")
    which = bench.add_mutually_exclusive_group()
    which.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="which to time")
    which.add_argument("--networks", action="store_true", help="time training beside PyTorch")
    add = bench.add_argument
    numbers = f"where the numbers go (default: {OUT}/cpu.json, cuda.json or networks.json)"
    add("--out", type=Path, metavar="FILE", help=numbers)
    picture = "where the picture of the CPU backend's times goes"
    add("--figure", type=Path, metavar="FILE", default=OUT / "roofline_cpu.png", help=picture)
    add("--quick", action="store_true", help="tiny shapes, a few repeats")
    add("--seed", type=int, default=0, help="of the maps and the drawn shapes")
    add_train(command("train", "train one of the paper's networks on distorted digits"))
    add = command("vectors", "write golden vectors for ports to read").add_argument
    add("--out", type=Path, metavar="DIR", default=Path("vectors"), help="where the files go")
    command("info", "print versions, and the backends that can run here")
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


def add_train(parser: argparse.ArgumentParser) -> None:
    """The options of `train`."""
    add = parser.add_argument
    add("--task", default="RTS", help="R, RTS, P, E, TC or addition")
    add("--model", default="st-fcn", help="fcn, cnn, st-fcn or st-cnn")
    add(
        "--transformation",
        metavar="NAME",
        default="affine",
        help="affine, projective, tps, rotation, attention, translation, similarity",
    )
    add("--transformers", type=int, default=1, help="how many, side by side; in a CNN in series")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--seconds", type=float, help="of processor time (default: 60, or as --steps says)"
    )
    limit.add_argument("--steps", type=int, help="batches of 256")
    add("--seed", type=int, default=0, help="of weights, batches and distortions")
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="with MNIST's files (default: $STN_REF_DATA, or the digits shipped)",
    )
    add("--download", action="store_true", help="fetch what is missing there")
    add("--out", type=Path, metavar="DIR", default=OUT / "training", help="where results go")
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
    options = {"quick": arguments.quick, "verbose": arguments.verbose}
    return 0 if run_demo(arguments.out, **options) else 1


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
    out = arguments.out or OUT / f"{name}.json"
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
