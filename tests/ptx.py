"""What the CUDA kernels compile to, with no GPU: `python -m tests.ptx` writes benchmarks/ptx.json.

Each kernel is compiled to PTX for sm_80 and assembled for sm_80 and sm_90. Counted are registers,
spills, stack, local memory, and float64 instructions.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from stn_ref import equations as eq
from stn_ref.backends.cuda import numba_cuda

ROOT = Path(__file__).parents[1]
FILE = ROOT / "benchmarks" / "ptx.json"
ARCHITECTURES = ("sm_80", "sm_90")
ROWS = {
    "bilinear": eq.BILINEAR,
    "integer": eq.INTEGER,
    "keys": eq.keys(),
    "hat": eq.hat(1.5),
    "gaussian": eq.gaussian(0.6),
    "lanczos3": eq.lanczos(),
    "bspline2": eq.bspline(2),
    "bspline3": eq.bspline(3),
    "normalised gaussian": eq.normalised(eq.gaussian(0.4)),
}
# U's precision, that of xy, where points come from, 64-bit indices; the axes, unless they are two
WAYS = {
    "single": ("float32", "float32", "grid", False),
    "single, fused": ("float32", "float64", "matrix", False),
    "double": ("float64", "float64", "grid", False),
    "double, fused": ("float64", "float64", "matrix", False),
    "single, xy double": ("float32", "float64", "grid", False),
    "single, wide": ("float32", "float32", "grid", True),
    "single, signal": ("float32", "float32", "grid", False, 1),
    "single, fused, signal": ("float32", "float64", "matrix", False, 1),
    "single, volume": ("float32", "float32", "grid", False, 3),
    "single, fused, volume": ("float32", "float64", "matrix", False, 3),
    "double, volume": ("float64", "float64", "grid", False, 3),
    "double, fused, volume": ("float64", "float64", "matrix", False, 3),
    "single, wide, volume": ("float32", "float32", "grid", True, 3),
}
LOOPS = ("forward", "pulls", "scatter peak", "scatter fixed", "scatter float")


def ptxas():
    """The assembler: the system's, else pip's; None if there is neither."""
    found = shutil.which("ptxas")
    if found or not find_spec("nvidia"):
        return found
    places = [p for place in find_spec("nvidia").submodule_search_locations for p in [Path(place)]]
    return next((str(p) for place in places for p in place.glob("*/bin/ptxas")), None)


def missing():
    """Why nothing can be compiled here; "" if it can."""
    if find_spec("numba_cuda") is None:
        return "numba-cuda is not installed"
    if not ptxas():
        return "there is no ptxas: pip install 'cuda-toolkit[nvcc]==13.0.*'"
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        for name in ("nvvm", "nvrtc"):
            load_nvidia_dynamic_lib(name)
    except Exception as error:
        return f"NVVM cannot be loaded: {type(error).__name__}"
    return ""


def few():
    """What `make test` compiles: BILINEAR in every precision, and the hardest of the others."""
    yield from ((loop, "bilinear", "single") for loop in LOOPS)
    fused = ("single, fused, signal", "single, fused, volume")
    ways = (*(way for way in WAYS if len(WAYS[way]) == 4 and way != "single"), *fused)
    yield from (("forward", "bilinear", way) for way in ways)
    yield from (("pulls", row, "single") for row in ("keys", "lanczos3", "normalised gaussian"))
    yield from (("scatter fixed", "lanczos3", "double"), ("pulls", "lanczos3", "double"))
    yield from (("finish", "", "single"), ("total", "", "single"), ("moments", "", "single, fused"))
    yield from (("pulls", "bilinear", "single, volume"), ("moments", "", "single, fused, volume"))


def everything():
    """Every row in every kernel, and BILINEAR in every way."""
    yield from ((loop, "bilinear", way) for way in WAYS for loop in LOOPS)
    yield from ((loop, row, "single") for row in ROWS if row != "bilinear" for loop in LOOPS)
    hard, ways = (
        ("forward", "pulls", "scatter fixed"),
        ("double", "single, volume", "double, volume"),
    )
    yield from ((loop, row, w) for w in ways for row in ROWS if row != "bilinear" for loop in hard)
    yield from ((loop, "", way) for loop in ("finish", "total") for way in ("single", "double"))
    yield from (("moments", "", way) for way in WAYS if "fused" in way)


def signature(loop, numbers):
    from numba import types

    real = {np.float32: types.float32, np.float64: types.float64}
    f, s = real[numbers.number][::1], (types.int64 if numbers.wide else types.int32)[::1]
    source = types.float64[::1] if numbers.where == "matrix" else real[numbers.coordinate][::1]
    peaks, sums = (types.int32 if numbers.number is np.float32 else types.int64)[::1], types.int64
    return {
        "forward": (f, f, source, f, s),
        "pulls": (f, f, source, f, s, f, f),
        "scatter": (f, source, f, s, f, peaks, sums[::1]),
        "finish": (peaks, sums[::1], s, f),
        "total": (f, types.int64, f),
        "moments": (f, source, s, f),
    }[loop]


def compiled(loop, row, way):
    """The PTX of one kernel."""
    cuda = numba_cuda()
    from numba.cuda import dispatcher

    from stn_ref.backends.cuda import launch, rows

    # numba-cuda asks the GPU that it has found for what device functions are compiled to
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=(8, 0))
    numbers, (name, *kind) = launch.Numbers(*WAYS[way]), loop.split()
    axes = (rows.axis(ROWS[row], numbers.number, left=False),) * numbers.axes if row else ()
    function = launch.made(name, numbers, axes, *(kind or [""]))
    ptx, _ = cuda.compile_ptx(function, signature(name, numbers), cc=(8, 0), device=False)
    return ptx


def measured(loop, row, way):
    """The numbers of one kernel."""
    ptx = compiled(loop, row, way)
    found = {"kernel": loop, "row": row, "way": way}
    found["instructions"] = len(re.findall(r"^\s+(?:@!?%p\d+ )?[a-z][\w.]*\s", ptx, re.M))
    found["float64"] = len(re.findall(r"^\s+(?:@!?%p\d+ )?[a-z][\w.]*\.f64", ptx, re.M))
    found["local"] = len(re.findall(r"\b(?:ld|st)\.local", ptx))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(ptx)
        for architecture in ARCHITECTURES:
            command = [ptxas(), "-v", f"-arch={architecture}", str(path), "-o", f"{path}.cubin"]
            log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            found[architecture] = {
                "registers": int(re.search(r"Used (\d+) registers", log)[1]),
                "stack": int(re.search(r"(\d+) bytes stack frame", log)[1]),
                "spills": sum(map(int, re.findall(r"(\d+) bytes spill", log))),
            }
    return found


def main(which):
    """Print the numbers of the kernels given, or write those of all."""
    if which:
        print(json.dumps([measured(*case) for case in json.loads(which[0])]))
        return
    from importlib import metadata

    found = [measured(*case) for case in everything()]
    packages = ("numba", "numba-cuda", "nvidia-nvvm", "numpy")
    tools = {package: metadata.version(package) for package in packages}
    tools["ptxas"] = subprocess.run([ptxas(), "--version"], capture_output=True, text=True).stdout
    tools["ptxas"] = tools["ptxas"].strip().splitlines()[-1]
    text = ",\n".join(json.dumps(case) for case in found)
    FILE.write_text(f'{{"tools": {json.dumps(tools)},\n"kernels": [\n{text}\n]}}\n')
    print(FILE)


if __name__ == "__main__":
    main(sys.argv[1:])
