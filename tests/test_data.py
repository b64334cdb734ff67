"""The digits that ship with the package, and MNIST's files: whole and verified, or an error."""

import gzip
import hashlib
import importlib
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from stn_ref.data import digits, mnist, read_idx

module = importlib.import_module("stn_ref.data.mnist")  # the function goes by the same name


def test_the_digits_are_balanced_images_in_unit_range():
    data = digits()
    for images, labels, each in (
        (data.x_train, data.y_train, 500),
        (data.x_test, data.y_test, 100),
    ):
        assert images.shape == (10 * each, 28, 28, 1) and images.dtype == np.float64
        assert images.min() == 0 and images.max() == 1
        assert np.array_equal(np.bincount(labels), [each] * 10)


def test_single_precision_is_the_double_rounded():
    single, double = digits(dtype=np.float32), digits()
    assert single.x_test.dtype == np.float32 and single.y_test.dtype == np.int64
    assert np.array_equal(single.x_test, double.x_test.astype(np.float32))
    with pytest.raises(TypeError, match="dtype is float16; expected float32 or float64"):
        digits(dtype=np.float16)


# --- IDX ---


def idx(array):
    """The bytes of an IDX file of unsigned bytes."""
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


ARRAY = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_idx_file_is_read_plain_or_gzip_whatever_its_name(tmp_path, pack):
    path = tmp_path / "name"
    path.write_bytes(pack(idx(ARRAY)))
    found = read_idx(path)
    assert found.dtype == np.uint8 and np.array_equal(found, ARRAY)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "begins with nothing; expected an IDX file"),
        (b"\0\0\x0d\x03" + idx(ARRAY)[4:], "begins with 00 00 0d 03; expected an IDX file"),
        (b"\0\0\x08\0", "begins with 00 00 08 00; expected .* the number of axes"),
        (b"<html>", "begins with 3c 68 74 6d; expected an IDX file"),
        (idx(ARRAY)[:15], "has 15 bytes; its header alone has 16"),
        (idx(ARRAY)[:-1], r"has 39 bytes; its header says \(2, 3, 4\), so that 40 are expected"),
        (idx(ARRAY) + b"\0", r"has 41 bytes; its header says \(2, 3, 4\), so that 40 are"),
        (gzip.compress(idx(ARRAY), mtime=0)[:-9], "is not a whole gzip file"),
        (gzip.compress(idx(ARRAY), mtime=0)[:-8] + bytes(8), "is not a whole gzip file"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff", "is not a whole gzip file"),
    ],
)
def test_a_file_that_is_no_whole_idx_file_is_named_with_what_was_found(tmp_path, data, words):
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{path} {words}"):
        read_idx(path)


# --- all of MNIST, in small ---


@pytest.fixture
def small():
    """name → IDX bytes, of 3 training and 2 test digits."""
    rng, files = np.random.default_rng(0), {}
    for name, count in (("train", 3), ("t10k", 2)):
        files[f"{name}-images-idx3-ubyte"] = idx(rng.integers(256, size=(count, 28, 28)))
        files[f"{name}-labels-idx1-ubyte"] = idx(rng.integers(10, size=count))
    return files


@pytest.fixture
def checksums(small, monkeypatch):
    """The small files are taken for MNIST's, and no mirror is asked unless a test says so."""
    known = {name: hashlib.sha256(data).hexdigest() for name, data in small.items()}
    monkeypatch.setattr(module, "FILES", known)
    monkeypatch.setattr(module, "MIRRORS", ())
    return known


def write(directory, files, pack=gzip.compress, end=".gz"):
    directory.mkdir(exist_ok=True)
    for name, data in files.items():
        (directory / (name + end)).write_bytes(pack(data))


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.rglob("*")}


@pytest.mark.parametrize(("pack", "end"), [(bytes, ""), (gzip.compress, ".gz")])
@pytest.mark.parametrize("mark", ["-idx", ".idx"])
def test_four_files_are_mnist(tmp_path, small, checksums, pack, end, mark):
    write(tmp_path, {name.replace("-idx", mark): d for name, d in small.items()}, pack, end)
    data = mnist(tmp_path, dtype=np.float32)
    images, labels = small["train-images-idx3-ubyte"], small["t10k-labels-idx1-ubyte"]
    assert data.x_train.shape == (3, 28, 28, 1) and data.x_test.shape == (2, 28, 28, 1)
    assert np.array_equal(data.x_train.ravel() * 255, list(images[16:]))
    assert data.x_train.dtype == np.float32 and data.y_test.dtype == np.int64
    assert data.y_test.tolist() == list(labels[8:])


def test_the_environment_names_the_directory_unless_the_caller_does(
    tmp_path, small, checksums, monkeypatch
):
    monkeypatch.delenv("STN_REF_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="name one, or set STN_REF_DATA"):
        mnist()
    write(tmp_path, small)
    monkeypatch.setenv("STN_REF_DATA", str(tmp_path))
    assert len(mnist().x_train) == 3
    with pytest.raises(FileNotFoundError, match=f"not in {tmp_path / 'elsewhere'}"):
        mnist(tmp_path / "elsewhere")


def test_a_missing_file_is_named_with_the_place_and_the_way_to_get_it(tmp_path, small, checksums):
    write(tmp_path, small)
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    words = rf"t10k-images-idx3-ubyte is not in {tmp_path}.*download=True"
    with pytest.raises(FileNotFoundError, match=words):
        mnist(tmp_path)


def test_other_bytes_than_mnists_are_an_error_with_both_checksums(tmp_path, small, checksums):
    name = "train-labels-idx1-ubyte"
    other = small[name][:-1] + bytes([small[name][-1] ^ 1])
    write(tmp_path, small | {name: other})
    before = contents(tmp_path)
    words = f"{name}.gz is not MNIST's: .*{hashlib.sha256(other).hexdigest()}; expected "
    with pytest.raises(ValueError, match=words + checksums[name]):
        mnist(tmp_path, download=True)
    assert contents(tmp_path) == before, "what was there stays"


def test_images_and_labels_must_agree(tmp_path, small, checksums):
    name = "t10k-labels-idx1-ubyte"
    small[name] = idx(np.arange(5))
    checksums[name] = hashlib.sha256(small[name]).hexdigest()
    write(tmp_path, small)
    with pytest.raises(ValueError, match=r"images are \(2, 28, 28\) and labels \(5,\)"):
        mnist(tmp_path)


# --- downloads ---


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path, small):
    """The address of a server, and the directory that it serves."""
    served = tmp_path / "served"
    write(served, small)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", served
    server.shutdown()
    thread.join()
    server.server_close()


def test_missing_files_are_downloaded_and_kept(tmp_path, checksums, mirror, monkeypatch):
    url, served = mirror
    monkeypatch.setattr(module, "MIRRORS", (url,))
    monkeypatch.setattr(module, "CHUNK", 1000)
    mine = tmp_path / "new" / "mine"
    data = mnist(mine, download=True)
    assert len(data.x_train) == 3
    assert contents(mine) == contents(served)
    monkeypatch.setattr(module, "MIRRORS", ())
    assert np.array_equal(mnist(mine, download=True).x_test, data.x_test)


def test_only_what_is_missing_is_downloaded(tmp_path, small, checksums, mirror, monkeypatch):
    url, served = mirror
    monkeypatch.setattr(module, "MIRRORS", (url,))
    write(tmp_path / "mine", small, bytes, "")
    (tmp_path / "mine" / "train-labels-idx1-ubyte").unlink()
    mnist(tmp_path / "mine", download=True)
    assert [p.name for p in (tmp_path / "mine").glob("*.gz")] == ["train-labels-idx1-ubyte.gz"]


def test_a_server_that_does_not_tell_the_length_is_read_to_its_end(
    tmp_path, checksums, mirror, monkeypatch
):
    monkeypatch.setattr(Quiet, "send_header", tell_no_length(Quiet.send_header))
    monkeypatch.setattr(module, "MIRRORS", (mirror[0],))
    assert len(mnist(tmp_path / "mine", download=True).x_train) == 3


def tell_no_length(send):
    return lambda self, name, value: name == "Content-Length" or send(self, name, value)


def test_the_next_mirror_steps_in(tmp_path, checksums, mirror, monkeypatch):
    url, served = mirror
    empty = tmp_path / "empty"
    write(empty, dict.fromkeys(checksums, b"an error page"), bytes)
    monkeypatch.setattr(module, "MIRRORS", (url + "nowhere/", empty.as_uri() + "/", url))
    assert len(mnist(tmp_path / "mine", download=True).x_train) == 3


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda data: data[:-20], "not a whole gzip file"),
        (lambda data: b"<html>", "begins with 3c 68 74 6d"),
        (lambda data: gzip.compress(idx(np.arange(3))), "is not MNIST's"),
    ],
)
def test_a_failed_download_says_why_and_leaves_nothing_behind(
    tmp_path, small, checksums, mirror, monkeypatch, break_it, words
):
    url, served = mirror
    for path in served.iterdir():
        path.write_bytes(break_it(path.read_bytes()))
    monkeypatch.setattr(module, "MIRRORS", (url, url + "nowhere/"))
    mine = tmp_path / "mine"
    write(mine, {"train-images-idx3-ubyte": small["train-images-idx3-ubyte"], "notes": b"mine"})
    before = contents(mine)
    with pytest.raises(ConnectionError, match=f"(?s){url}: .*{words}.*HTTP Error 404"):
        mnist(mine, download=True)
    assert contents(mine) == before


def test_an_interrupted_download_leaves_nothing_behind(tmp_path, checksums, mirror, monkeypatch):
    def interrupted(items, label):
        yield next(iter(items))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "MIRRORS", (mirror[0],))
    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(module, "progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mnist(tmp_path / "mine", download=True)
    assert contents(tmp_path / "mine") == {}


@pytest.mark.skipif(not os.environ.get("STN_REF_DATA"), reason="STN_REF_DATA names no directory")
def test_the_shipped_digits_are_of_mnist():
    whole, shipped = mnist(dtype=np.float32), digits(dtype=np.float32)
    assert len(whole.x_train) == 60_000 and len(whole.x_test) == 10_000
    for (x, y), (few_x, few_y) in zip(
        (whole[:2], whole[2:]), (shipped[:2], shipped[2:]), strict=True
    ):
        known = {(image.tobytes(), label) for image, label in zip(x, y, strict=True)}
        assert all((image.tobytes(), k) in known for image, k in zip(few_x, few_y, strict=True))
