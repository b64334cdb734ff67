"""The command line: `python -m stn_ref demo | check | bench | vectors | info`."""

from __future__ import annotations

import argparse
import platform
import sys
from importlib import metadata
from pathlib import Path

import stn_ref
from stn_ref import backends


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status is 0 unless a check failed (1) or an argument is bad (2)."""
    parser = argparse.ArgumentParser(prog="python -m stn_ref", description=stn_ref.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="check the gradients and draw section 3 on digits")
    demo.add_argument("--out", type=Path, default=Path("figures"), help="where figures go")
    demo.add_argument("--quick", action="store_true", help="draw at low resolution")
    commands.add_parser("check", help="hold every gradient against finite differences")
    bench = commands.add_parser("bench", help="time a backend beside PyTorch and OpenCV")
    bench.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="which to time")
    bench.add_argument("--out", type=Path, help="the numbers, benchmarks/BACKEND.json unless given")
    bench.add_argument("--figure", type=Path, default=Path("figures/roofline_cpu.png"))
    bench.add_argument("--quick", action="store_true", help="tiny shapes, a few repeats")
    bench.add_argument("--seed", type=int, default=0, help="of the maps and the drawn shapes")
    vectors = commands.add_parser("vectors", help="write golden vectors for ports to read")
    vectors.add_argument("--out", type=Path, default=Path("vectors"), help="where the files go")
    commands.add_parser("info", help="versions, and the backends that can run here")
    arguments = parser.parse_args(argv)

    if arguments.command == "info":
        return info()
    try:
        return run(arguments)
    except OSError as error:
        print(f"python -m stn_ref {arguments.command}: {error}", file=sys.stderr)
        return 2


def run(arguments: argparse.Namespace) -> int:
    """Run a command that may write files."""
    if arguments.command == "vectors":
        from stn_ref.oracle.vector_files import write

        print(*write(arguments.out, version=stn_ref.__version__), sep="\n")
        return 0
    if arguments.command == "bench":
        return bench_of(arguments)
    import matplotlib

    matplotlib.use("agg")
    from stn_ref.demo import demo as run_demo
    from stn_ref.demo import print_checks

    if arguments.command == "check":
        return 0 if print_checks() else 1
    return 0 if run_demo(arguments.out, quick=arguments.quick) else 1


def bench_of(arguments: argparse.Namespace) -> int:
    """Time one backend."""
    out = arguments.out or Path(f"benchmarks/{arguments.backend}.json")
    if arguments.backend == "cuda":
        from stn_ref.bench_cuda import bench as bench_cuda

        try:
            bench_cuda(out, quick=arguments.quick, seed=arguments.seed)
        except RuntimeError as error:
            print(f"python -m stn_ref bench: {error}", file=sys.stderr)
            return 2
        return 0
    import matplotlib

    from stn_ref.bench import bench as bench_cpu

    matplotlib.use("agg")

    bench_cpu(out, arguments.figure, quick=arguments.quick, seed=arguments.seed)
    return 0


def info() -> int:
    """Print versions and backends."""
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
