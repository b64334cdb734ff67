"""The command line: `python -m stn_ref demo | check | bench | info`."""

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
    bench = commands.add_parser("bench", help="time the CPU backend beside PyTorch and OpenCV")
    bench.add_argument("--out", type=Path, default=Path("benchmarks/cpu.json"), help="the numbers")
    bench.add_argument("--figure", type=Path, default=Path("figures/roofline_cpu.png"))
    bench.add_argument("--quick", action="store_true", help="tiny shapes, a few repeats")
    bench.add_argument("--seed", type=int, default=0, help="of the maps and the drawn shapes")
    commands.add_parser("info", help="versions, and the backends that can run here")
    arguments = parser.parse_args(argv)

    if arguments.command == "info":
        return info()
    import matplotlib

    matplotlib.use("agg")
    if arguments.command == "bench":
        from stn_ref.bench import bench as run_bench

        run_bench(arguments.out, arguments.figure, quick=arguments.quick, seed=arguments.seed)
        return 0
    from stn_ref.demo import demo as run_demo
    from stn_ref.demo import print_checks

    if arguments.command == "check":
        return 0 if print_checks() else 1
    try:
        return 0 if run_demo(arguments.out, quick=arguments.quick) else 1
    except OSError as error:
        print(f"python -m stn_ref demo: {error}", file=sys.stderr)
        return 2


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
