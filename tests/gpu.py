"""All that is to be known on a GPU, in one command: `python -m tests.gpu`, or some parts of it.

laws        gpu_laws.py and gpu_arrays.py, with torch, CuPy and JAX where they are installed
suite       the tests of every backend, if pytest and Hypothesis are installed
sanitizer   a few laws under compute-sanitizer, if that is installed
bench       `python -m stn_ref bench --backend cuda`

What is found is printed and kept as it comes, in benchmarks/gpu.json. The exit status is 1 if
anything failed, and 2 if there is no GPU.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from stn_ref import backends
from stn_ref.backends.cuda import numba_cuda
from tests.gpu_laws import LAWS
from tests.simulator import SIMULATED

ROOT = Path(__file__).parents[1]
PACKAGES = ("numpy", "numba", "numba-cuda", "cuda-bindings", "torch", "cupy-cuda13x", "jax")
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
FEW = (
    *("it_conforms_in_every_layout-float32-planar", "it_conforms_with_every_padding-float64-wrap"),
    *("coordinates_may_be_huge_or_not_finite-zeros", "atomics_agree_to_rounding-float32"),
    *(
        "the_fused_path_hits_the_same_pixels-float32-affine-False",
        "fifty_runs_have_the_same_bits-float64-hat",
    ),
)


class Report:
    """What was found, by part and name; written whenever something is added."""

    def __init__(self, path, machine):
        self.path, self.failed, self.found = path, set(), {"machine": machine, "parts": {}}
        if path.exists():
            before = json.loads(path.read_text())
            if before["machine"] == machine:  # parts that another command has run
                self.found = before

    def keep(self, part, name, outcome, seconds, detail=""):
        kept = {"outcome": outcome, "seconds": seconds} | ({"detail": detail} if detail else {})
        self.found["parts"].setdefault(part, {})[name] = kept
        if outcome == "failed":
            self.failed.add((part, name))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.found, indent=1) + "\n")
        print(f"{outcome:7} {seconds:7.1f} s  {part}: {name}", *detail.splitlines(), sep="\n    ")
        sys.stdout.flush()


def machine():
    """The GPU, the driver and the versions."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    device = numba_cuda().get_current_device()
    found["gpu"] = str(getattr(device, "name", "simulator"))
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        run = subprocess.run(query, capture_output=True, text=True)
        found["driver"] = run.stdout.strip()
    return found


def lines(command):
    """What a command prints, line by line, and at last its exit status."""
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield from (line.rstrip("\n") for line in child.stdout)
    yield child.wait()


def laws(report, options):
    """Each law; after one that fails the others go on in a new process."""
    left = [name for name in LAWS if re.search(options.only, name)]
    while left:
        log, begin, outcome, status = [], time.perf_counter(), "", None
        for line in lines([sys.executable, "-m", "tests.gpu_laws", str(options.scale), *left]):
            if str(line).startswith('{"name"'):
                found = json.loads(line)
                outcome = found["outcome"]
                left.remove(found["name"])
                report.keep("laws", **found)
                begin = time.perf_counter()
            log, status = [*log[-30:], str(line)], line
        if outcome != "failed" and (status or left):  # it ended without a word
            name = left.pop(0) if left else "the end"
            report.keep("laws", name, "failed", since(begin), "\n".join(log))


def suite(report, options):
    """The tests of every backend, for CUDA."""
    if not (find_spec("pytest") and find_spec("hypothesis")):
        report.keep("suite", "pytest", "absent", 0, "pytest or Hypothesis is not installed")
        return
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "default"]
    command += ["-n", "8"] if find_spec("xdist") else []
    command += ["-k", f"cuda and ({options.only})" if options.only else "cuda"]
    passed, begin, log, status = 0, time.perf_counter(), [], None
    for line in lines([*command, "tests/test_conformance.py", "tests/test_backends.py"]):
        broken = re.search(r"(?:FAILED|ERROR) (tests/\S+)|^(tests/\S+) (?:FAILED|ERROR)", str(line))
        if broken and ("suite", broken[1] or broken[2]) not in report.failed:
            report.keep("suite", broken[1] or broken[2], "failed", since(begin))
        if " PASSED" in str(line):
            passed += 1
            if not passed % 200:
                print(f"{passed} tests passed", flush=True)
        log, status = [*log[-30:], str(line)], line
    ended(report, "suite", f"all, {passed} passed", begin, status, log)


def since(begin):
    return round(time.perf_counter() - begin, 2)


def ended(report, part, name, begin, status, log):
    """Keep how a command ended; if it failed, with the end of its log."""
    outcome, detail = ("failed", "\n".join(log)) if status else ("passed", "")
    report.keep(part, name, outcome, since(begin), detail)


def sanitizer(report, options):
    """A few laws, small, under each tool."""
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/cuda/bin"))
    program = shutil.which("compute-sanitizer", path=places)
    if not program:
        report.keep("sanitizer", "compute-sanitizer", "absent", 0, "it is not installed")
        return
    names = [name for name in LAWS if name.startswith(FEW)]
    for tool in TOOLS:
        if not re.search(options.only, tool):
            continue
        begin, log, status = time.perf_counter(), [], None
        command = [program, f"--tool={tool}", "--error-exitcode=9", sys.executable]
        for line in lines([*command, "-m", "tests.gpu_laws", str(options.scale / 10), *names]):
            log, status = [*log[-40:], str(line)], line
        ended(report, "sanitizer", tool, begin, status, log)


def bench(report, options):
    """The benchmark, whose numbers are in a file of its own beside the report."""
    out = options.out.with_name("cuda.json")
    command = [sys.executable, "-m", "stn_ref", "bench", "--backend", "cuda", "--out", str(out)]
    begin, log, status = time.perf_counter(), [], None
    for line in lines([*command, *(["--quick"] if options.scale < 1 else [])]):
        if isinstance(line, str):
            print(line, flush=True)
        log, status = [*log[-20:], str(line)], line
    ended(report, "bench", out.name, begin, status, log)


PARTS = {f.__name__: f for f in (laws, suite, sanitizer, bench)}


def main(argv):
    """Run the parts, all unless some are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--only", default="", help="laws and tools (a pattern), or tests (for -k)")
    parser.add_argument("--scale", type=float, default=0.05 if SIMULATED else 1, help="of sizes")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "gpu.json")
    options = parser.parse_args(argv)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}: {', '.join(PARTS)}")
    reason = backends.get("cuda").why_not()
    if reason:
        print(f"there is nothing to run on: {reason}", file=sys.stderr)
        return 2
    options.out = options.out.resolve()
    report = Report(options.out, machine())
    print(*(f"{name} {value}" for name, value in report.found["machine"].items()), sep="\n")
    for part in options.parts or PARTS:
        if not options.only:
            report.found["parts"].pop(part, None)
        PARTS[part](report, options)
    print(f"{len(report.failed) or 'nothing'} failed\n{options.out}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
