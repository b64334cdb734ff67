"""All of MNIST, 60,000 and 10,000 digits: IDX files from a directory, or downloaded on request."""

from __future__ import annotations

import gzip
import hashlib
import os
import urllib.request
import zlib
from http.client import HTTPException
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from stn_ref.data.digits import Digits, from_bytes
from stn_ref.equations.arguments import Array, flag
from stn_ref.files import replacing
from stn_ref.progress import progress

DIRECTORY = "STN_REF_DATA"  # the environment variable that names the directory
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
# SHA-256 of the unpacked files, in the order of Digits: gzip's wrapping differs among mirrors
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
GZIP, UBYTE = b"\x1f\x8b", b"\x00\x00\x08"  # how gzip begins, and an IDX file of eight bits
AXES = [bytes([n]) for n in range(1, 33)]  # what NumPy of any version can hold
CHUNK, PATIENCE = 1 << 16, 30  # bytes at a time, and seconds without any


def mnist(
    directory: str | Path | None = None, *, download: bool = False, dtype: DTypeLike = np.float64
) -> Digits:
    """Full MNIST: the four IDX files, plain or gzip, each held against its SHA-256.

    directory  where they are; if None, what the environment variable STN_REF_DATA says
    download   whether a file that is missing is fetched, verified, and only then put there
    dtype      of the images, float64 (376 MB for the training images) or float32 (half of it)
    Raises FileNotFoundError if a file is missing, ValueError if one is not what it should be,
    and ConnectionError if a download fails. A file that is there is never changed.
    """
    place = directory if directory is not None else os.environ.get(DIRECTORY)
    if not place:
        raise FileNotFoundError(
            f"no directory of MNIST's files is given: name one, or set {DIRECTORY}"
        )
    fetch, arrays = flag("download", download), []
    for name, checksum in FILES.items():
        path = _find(Path(place), name)
        if path is None and fetch:
            path = _download(Path(place), name, checksum)
        if path is None:
            raise FileNotFoundError(
                f"{name} is not in {place}, nor is {name}.gz: put MNIST's four files there, "
                "or pass download=True"
            )
        arrays.append(_verified(path, checksum))
    for images, labels in (arrays[:2], arrays[2:]):
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
            raise ValueError(
                f"images are {images.shape} and labels {labels.shape} in {place}; "
                "expected (N, 28, 28) and (N,)"
            )
    return from_bytes(*arrays, dtype=dtype)


def read_idx(path: str | Path) -> Array:
    """An IDX file of unsigned bytes, plain or gzip, as an array (uint8, read-only).

    The format: 0, 0, 8 for unsigned bytes, the number of axes; each length, four bytes, the most
    significant first; the values.
    Raises OSError if the file cannot be read, and ValueError if it is not such a file, or is too
    short or too long.
    """
    return _parse(_unpacked(Path(path)), path)


def _unpacked(path: Path) -> bytes:
    """The bytes of a file, unpacked if they are gzip's, whatever its name."""
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if data.startswith(GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error


def _parse(data: bytes, path: str | Path) -> Array:
    if not data.startswith(UBYTE) or data[3:4] not in AXES:
        raise ValueError(
            f"{path} begins with {data[:4].hex(' ') or 'nothing'}; "
            "expected an IDX file of unsigned bytes, 00 00 08 and the number of axes"
        )
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise ValueError(f"{path} has {len(data):,} bytes; its header alone has {header:,}")
    shape = [int.from_bytes(data[k : k + 4], "big") for k in range(4, header, 4)]
    if len(data) != header + prod(shape):
        raise ValueError(
            f"{path} has {len(data):,} bytes; its header says {tuple(shape)}, "
            f"so that {header + prod(shape):,} are expected"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _verified(path: Path, checksum: str) -> Array:
    """The array of a file whose unpacked bytes have this SHA-256."""
    data = _unpacked(path)
    array, found = _parse(data, path), hashlib.sha256(data).hexdigest()
    if found != checksum:
        raise ValueError(
            f"{path} is not MNIST's: its unpacked bytes have the SHA-256 {found}; "
            f"expected {checksum}"
        )
    return array


def _find(directory: Path, name: str) -> Path | None:
    """The file under one of its usual names: -idx or .idx, plain or gzip."""
    names = [n + end for n in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
    return next((directory / n for n in names if (directory / n).is_file()), None)


def _download(directory: Path, name: str, checksum: str) -> Path:
    """Fetch a file from the first mirror that has it; it appears once it is whole and verified."""
    path, failures = directory / f"{name}.gz", []
    with replacing(path) as arriving:
        for mirror in MIRRORS:
            try:
                _fetch(mirror + path.name, arriving)
                _verified(arriving, checksum)
                break
            except (OSError, HTTPException, ValueError) as error:
                failures.append(f"{mirror}: {error}")
        else:
            raise ConnectionError(f"cannot download {path.name}\n" + "\n".join(failures))
    return path


def _fetch(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response, path.open("wb") as file:
        chunks = range(-(-int(response.headers["Content-Length"] or 0) // CHUNK))
        for _ in progress(chunks, f"downloading {path.name}"):
            file.write(response.read(CHUNK))
        file.write(response.read())  # all of it, where the server does not say how long it is
