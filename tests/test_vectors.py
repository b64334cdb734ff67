"""Golden vectors: the same bits every time, in files that say what they hold, and true."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import stn_ref
from stn_ref.__main__ import main
from stn_ref.oracle import expected, vector_files, vectors
from stn_ref.oracle.dialect import gradient_of
from stn_ref.oracle.families import FAMILIES
from tests.schema import violations

# As `sha256sum` prints it. If the vectors have changed, and were meant to, say so in the changelog,
# for others test against them; then, in DIR, `rm manifest.json; sha256sum * > …/vectors.sha256`.
SUMS = Path(__file__).with_name("vectors.sha256")
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
SOURCE = Path(__file__).with_name("vectors.c")
BESIDE = 1 - 2.0**-52, 1 + 2.0**-52
FILES = [row.name for row in vectors.ROWS]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder written by another process, which hashes otherwise and has a poorer processor."""
    folder = tmp_path_factory.mktemp("vectors") / "new" / "folder"
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    other = {
        "PYTHONHASHSEED": "7",
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
    }
    command = [sys.executable, "-W", "error", "-m", "stn_ref", "vectors", "--out", folder]
    run = subprocess.run(
        command, env=os.environ | other, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0 and not run.stderr, run.stderr
    assert set(run.stdout.split()) == {str(path) for path in folder.iterdir()}
    return folder


@pytest.fixture(scope="module")
def manifest(out):
    return json.loads((out / "manifest.json").read_text())


def read(path):
    """A dialect's cases from its text: name, what it says of itself, arrays."""
    for case in json.loads(path.read_text())["cases"]:
        arrays = {key: case.pop(key) for key in list(case) if isinstance(case[key], dict)}
        case["options"] = arrays.pop("options")
        for key, array in arrays.items():
            given = key == "grad_output" or not re.fullmatch("value.*|grad_.*", key)
            data = [float.fromhex(x) for x in array["data"].split()]
            arrays[key] = np.array(data, case["dtype"] if given else "f8").reshape(array["shape"])
        yield case, arrays


def function(path):
    """The dialect's function, as a file names it."""
    module, _, function = json.loads(path.read_text())["function"].partition(".")
    return getattr(import_module(f"stn_ref.oracle.{module}"), function)


def arguments(arrays):
    return list(arrays.values())[: list(arrays).index("value")]


def test_another_process_writes_the_same_bits(out):
    files = vector_files.files(stn_ref.__version__)
    assert set(files) == {path.name for path in out.iterdir()}
    for name, content in files.items():
        assert content == (out / name).read_bytes(), name


def test_the_vectors_are_those_that_were_committed(manifest):
    committed = dict(line.split()[::-1] for line in SUMS.read_text().splitlines())
    found = {name: file["sha256"] for name, file in manifest["files"].items()}
    changed = [name for name in committed | found if committed.get(name) != found.get(name)]
    assert not changed, f"{', '.join(changed)} changed: see what is said of {SUMS.name} above"


def test_the_manifest_has_every_file_and_its_checksum(out, manifest):
    assert manifest["format"] == 1 and manifest["stn_ref"] == stn_ref.__version__
    assert {*manifest["files"], "manifest.json"} == {path.name for path in out.iterdir()}
    for name, file in manifest["files"].items():
        content = (out / name).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["bytes"] == len(content)


def test_all_of_it_is_under_ten_megabytes(out):
    assert 1e6 < sum(path.stat().st_size for path in out.iterdir()) < 10e6


@pytest.mark.parametrize("dialect", FILES)
def test_text_arrays_and_manifest_agree(out, manifest, dialect):
    listed = [c for c in manifest["cases"] if c["file"] == dialect]
    with np.load(out / f"{dialect}.npz") as npz:
        names = []
        for line, (case, arrays) in zip(listed, read(out / f"{dialect}.json"), strict=True):
            shapes = {key: list(array.shape) for key, array in arrays.items()}
            head = {"file": dialect, "function": line["function"]}
            assert head | case | {"shapes": shapes} == line
            for key, array in arrays.items():
                names.append(f"{case['name']}/{key}")
                same = npz[names[-1]]
                assert same.dtype == array.dtype and same.shape == array.shape
                assert same.tobytes() == array.tobytes()
        assert names == npz.files


@pytest.mark.parametrize("dialect", FILES)
def test_the_text_follows_the_schema(out, dialect):
    schema = json.loads((out / "schema.json").read_text())
    assert not violations(json.loads((out / f"{dialect}.json").read_text()), schema, schema)


@pytest.mark.parametrize("dialect", FILES)
def test_the_text_has_a_key_to_a_line_in_the_order_that_is_told(out, dialect):
    text = (out / f"{dialect}.json").read_text()
    for line in text.splitlines():
        assert re.fullmatch(r'[][{}]+,?|"\w+": (\[|(".*"|\d+|{.*}),?)', line), line[:80]
    for case in json.loads(text)["cases"]:
        head, keys = list(case)[:4], list(case)[4:]
        assert head == ["name", "family", "dtype", "options"]
        names = keys[: keys.index("value")]
        gradients = [f"grad_{name}{end}" for name in names for end in ("", "_bound")]
        rest = ["grad_output", *gradients] if "grad_output" in keys else []
        assert keys == [*names, "value", "value_bound", *rest]


@pytest.mark.parametrize(
    "old, new",
    (
        ('"format": 1', '"format": 2'),
        ('"dtype": "float32"', '"dtype": "int8"'),
        ('"value_bound"', '"velue_bound"'),
        ('"data": "', '"data": "0.5 '),
        ('"data": "', '"data": " '),
        ('"shape": [', '"shape": [-1, '),
        ('"function"', '"functions"'),
    ),
)
def test_the_schema_refuses_what_is_otherwise(out, old, new):
    schema = json.loads((out / "schema.json").read_text())
    text = (out / "torch7.json").read_text()
    assert violations(json.loads(text.replace(old, new, 1)), schema, schema)


@pytest.mark.parametrize("dialect", FILES)
def test_what_the_dialect_itself_gives_is_within_the_bounds(out, dialect):
    like = function(out / f"{dialect}.json")
    for case, arrays in read(out / f"{dialect}.json"):
        given, found = arguments(arrays), {}
        found["value"] = like(*given, **case["options"])
        if "grad_output" in arrays:
            gradients = gradient_of(like)(arrays["grad_output"], *given, **case["options"])
            found |= zip([f"grad_{key}" for key in arrays], gradients, strict=False)
        for key, value in found.items():
            true, bound = arrays[key], arrays[f"{key}_bound"]
            lost = np.isnan(true)
            assert np.array_equal(np.isnan(value), lost) and not bound[lost].any()
            assert np.all(abs(value.astype("f8") - true)[~lost] <= bound[~lost]), (case, key)


@pytest.mark.parametrize("dialect", FILES)
def test_bounds_are_the_oracles_rounded_up_by_less_than_a_hundredth(out, dialect):
    like = function(out / f"{dialect}.json")
    for case, arrays in list(read(out / f"{dialect}.json"))[::11]:
        value, bound = expected(like, *arguments(arrays), **case["options"])
        assert np.array_equal(arrays["value"], value, equal_nan=True)
        assert np.all((arrays["value_bound"] >= bound) & (arrays["value_bound"] <= 1.01 * bound))


def test_every_setting_meets_every_family(manifest):
    drawn = {}
    for case in manifest["cases"]:
        setting = case["file"], json.dumps(case["options"])
        drawn.setdefault(setting, set()).add((case["dtype"], case["family"]))
    counts = [sum(name == row.name for name, _ in drawn) for row in vectors.ROWS]
    assert counts == [18, 18, 10, 14, 15, 1, 1, 12, 18, 18, 10, 10, 14, 14]
    families = set(FAMILIES) - {"large planes", "many", "far", "not contiguous"}  # size; no strides
    for (file, _), found in drawn.items():
        if file.endswith(("volumes", "signals")):
            assert {family for _, family in found} == families - {"huge"}
        else:
            assert {family for dtype, family in found if dtype == "float32"} == families
        assert ("float64", "random") in found


def test_gradients_are_there_where_the_framework_has_them_and_points_are_finite(out, manifest):
    for case in manifest["cases"]:
        framework = case["function"].partition(".")[0] in ("torch", "jax", "tensorflow", "torch7")
        has = framework and case["family"] != "not finite"
        assert ("grad_output" in case["shapes"]) == has
        assert any(key.endswith("_bound") and key != "value_bound" for key in case["shapes"]) == has


def test_the_last_bit_of_a_draw_changes_nothing(monkeypatch):
    def all_of():
        row = vectors.ROWS[0]
        drawn = vectors.vectors(row, row.options[0])
        return [array.tobytes() for vector in drawn for array in vector.arrays.values()]

    usual, cases = all_of(), vectors.cases
    for bit in BESIDE:

        def beside(family, rng, *kept, bit=bit):
            return ((U * bit, xy * bit) for U, xy in cases(family, rng, *kept))

        monkeypatch.setattr(vectors, "cases", beside)
        assert all_of() == usual


def test_the_last_bit_of_a_bound_changes_nothing():
    bound = np.array([0, 1, 0.75, 255 * 2.0**-30, 2.0**-24, 3e-7])  # most of them round numbers
    up = vectors.rounded_up(bound)
    assert np.all((up >= bound) & (up <= 1.01 * bound))
    for bit in BESIDE:
        assert np.array_equal(vectors.rounded_up(bound * bit), up)


@pytest.mark.parametrize(
    "x, text",
    (
        (0.0, "0x0.0p+0"),
        (-0.0, "-0x0.0p+0"),
        (1.5, "0x1.8p+0"),
        (-1.0, "-0x1.0p+0"),
        (0.1, "0x1.999999999999ap-4"),
        (2.0**-1074, "0x0.0000000000001p-1022"),
        (np.inf, "inf"),
        (-np.inf, "-inf"),
        (np.nan, "nan"),
    ),
)
def test_a_number_is_written_without_more_zeros_than_it_needs(x, text):
    assert vector_files.hexadecimal(x) == text
    assert re.fullmatch(vector_files.NUMBER, text)
    assert np.array_equal(float.fromhex(text), x, equal_nan=True)


def test_other_files_stay_and_nothing_is_left_in_part(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "torch.json").write_text("old")
    monkeypatch.setattr(vector_files, "files", lambda version: {"torch.json": b"new", "b": b""})
    paths = vector_files.write(tmp_path, version="1")
    assert paths == [tmp_path / "torch.json", tmp_path / "b"]
    assert (tmp_path / "torch.json").read_text() == "new"

    def full(version):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vector_files, "files", full)
    with pytest.raises(OSError, match=r"cannot write vectors to .*: No space left on device"):
        vector_files.write(tmp_path, version="1")
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "torch.json", "b"}


def test_a_directory_that_cannot_be_written_is_a_clear_error(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["vectors", "--out", str(tmp_path / "file")]) == 2
    captured = capsys.readouterr()
    assert f"vectors: cannot write vectors to {tmp_path / 'file'}: File exists" in captured.err
    assert not captured.out


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler: cc, gcc or clang")
@pytest.mark.parametrize("wrong", (False, True))
def test_a_sampler_in_c_is_right_and_one_that_truncates_is_not(out, tmp_path, wrong):
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror", *["-DWRONG"] * wrong]
    program = tmp_path / "vectors"
    subprocess.run([COMPILER, *flags, SOURCE, "-o", program, "-lm"], check=True, timeout=60)
    run = subprocess.run([program, out / "torch.json"], capture_output=True, text=True, timeout=60)
    assert re.match(r"26 cases, \d+ values, worst error \S+ bounds", run.stdout)
    assert run.returncode == wrong, run.stdout
    nothing = subprocess.run([program, out / "jax.json"], capture_output=True, timeout=60)
    assert nothing.returncode == 1


EQUATIONS = Path(__file__).parents[1] / "docs" / "static" / "equations.js"


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js to run it")
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("", ""), ("(folds % 2 ? -1 : 1)", "1"), ("m: m + 1, k: f, dk: 1", "m: m + 1, k: f, dk: 2")],
)
def test_the_sites_own_sampler_is_right_and_a_broken_one_is_not(out, tmp_path, right, wrong):
    broken = tmp_path / "equations.js"
    broken.write_text(EQUATIONS.read_text().replace(right, wrong))
    assert not right or right in EQUATIONS.read_text()
    command = ["node", SOURCE.with_suffix(".js"), out / "torch.json", broken]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    counts = json.loads(run.stdout.splitlines()[-1])
    assert counts["cases"] == 192 and counts["values"] > 6000 and counts["gradients"] > 12000
    assert run.returncode == (1 if right else 0), run.stdout[:2000]
