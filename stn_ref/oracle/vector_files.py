"""Golden vectors as files that a port to any language can read: `python -m stn_ref vectors`.

    <dialect>.npz    arrays named <case>/<array>, little-endian, not compressed
    <dialect>.json   the same as text
    …_volumes, …_signals: the same function on three axes and on one
    schema.json      the JSON Schema of that text
    manifest.json    where they come from; size and SHA-256 of each file; and of each case the
                     file, options, family, dtype and shapes, which the .npz does not have

The text has one key to a line and these lines in this order, for a scanner of a few lines of C:

    "name": "0000",
    "family": "random",                         what the case is aimed at
    "dtype": "float32",                         of the arguments and grad_output; others: float64
    "options": {"mode": "bilinear", …},
    "input": {"shape": [1, 1, 3, 4], "data": "-0x1.8p-1 0x1.0p+0 …"},
    "grid": …                                   the function's first arguments, by name
    "value": …                                  the exact result, rounded to float64
    "value_bound": …                            how far a result may be from it, element by element
    "grad_output": …                            the gradient of a loss in the result,
    "grad_input": …                             what that comes to in each argument,
    "grad_input_bound": …                       and how far that may be off
    …

The last four are missing where the framework has no gradients or a point is not finite. Data are
C99 hexadecimal floats as `strtod` reads them, the last axis fastest, a space between. Where the
value is nan, so must the result be.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.oracle.vectors import ROWS, SEED, Row, Vector, vectors
from stn_ref.progress import progress

FORMAT = 1
NUMBER = r"(nan|-?inf|-?0x[01]\.[0-9a-f]+p[+-][0-9]+)"
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Golden vectors of image sampling, one dialect's",
    "description": "Each key of a case is on a line of its own, as is every brace around a case.",
    "type": "object",
    "properties": {
        "format": {"const": FORMAT},
        "function": {"type": "string", "description": "of stn_ref.oracle"},
        "cases": {"type": "array", "items": {"$ref": "#/$defs/case"}},
    },
    "required": ["format", "function", "cases"],
    "additionalProperties": False,
    "$defs": {
        "case": {
            "description": "name, family, dtype and options; then the arguments, in the function's "
            "order; value, value_bound; and where there are gradients grad_output, and for each "
            "argument grad_<argument> and grad_<argument>_bound. A result is right if it differs "
            "from the value by no more than the bound, or both are nan.",
            "type": "object",
            "properties": {
                "name": {"type": "string", "pattern": "^[0-9]{4}$"},
                "family": {"type": "string", "description": "what the case is aimed at"},
                "dtype": {
                    "enum": ["float16", "float32", "float64"],
                    "description": "of the arguments and grad_output; the rest is float64",
                },
                "options": {"type": "object", "description": "the function's other arguments"},
            },
            "required": ["name", "family", "dtype", "options", "value", "value_bound"],
            "additionalProperties": {"$ref": "#/$defs/array"},
        },
        "array": {
            "type": "object",
            "properties": {
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                "data": {
                    "type": "string",
                    "pattern": f"^({NUMBER}( {NUMBER})*)?$",
                    "description": "C99 hexadecimal floats, last axis fastest, a space between",
                },
            },
            "required": ["shape", "data"],
            "additionalProperties": False,
        },
    },
}


def write(out: Path, *, version: str) -> list[Path]:
    """Write all vectors into a directory, made if it is missing; other files in it stay.

    version  of stn_ref, for the manifest
    Returns the paths written. Raises OSError if the directory cannot be written; then, or if it is
    interrupted, no file is there in part.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".stn_ref", dir=out) as aside:
            found = files(version)
            for name, content in found.items():
                (Path(aside) / name).write_bytes(content)
            for name in found:
                os.replace(Path(aside) / name, out / name)
    except OSError as error:
        raise OSError(f"cannot write vectors to {out}: {error.strerror or error}") from error
    return [out / name for name in found]


def files(version: str) -> dict[str, bytes]:
    """What each file holds; the manifest is the last, so that it is there once all the rest is."""
    drawn: dict[str, list[Vector]] = {row.name: [] for row in ROWS}
    calls = [(row, options) for row in ROWS for options in row.options]
    for row, options in progress(calls, "drawing"):
        drawn[row.name] += vectors(row, options)
    found = {"schema.json": f"{json.dumps(SCHEMA, indent=2)}\n".encode()}
    listed = []
    for row in ROWS:
        named = {f"{k:04}": vector for k, vector in enumerate(drawn[row.name])}
        found[f"{row.name}.npz"] = _npz(named)
        found[f"{row.name}.json"] = _text(row, named)
        listed += [_listing(row, name, vector) for name, vector in named.items()]
    return found | {"manifest.json": _manifest(version, found, listed)}


def _manifest(version: str, found: dict[str, bytes], listed: list[str]) -> bytes:
    sums = [
        f'"{name}": ' + json.dumps({"bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()})
        for name, b in sorted(found.items())
    ]
    lines = [f'"format": {FORMAT}', f'"stn_ref": {json.dumps(version)}', f'"seed": {SEED}']
    lines += [f'"files": {_block("{}", sums)}', f'"cases": {_block("[]", listed)}']
    return f"{_block('{}', lines)}\n".encode()


def _listing(row: Row, name: str, vector: Vector) -> str:
    """A case's line in the manifest."""
    shapes = {key: array.shape for key, array in vector.arrays.items()}
    head = {"file": row.name, "function": _function(row), "name": name}
    return json.dumps({**head, **_head(vector), "shapes": shapes})


def _text(row: Row, named: dict[str, Vector]) -> bytes:
    """A dialect's cases as JSON."""
    blocks = []
    for name, vector in named.items():
        head = {"name": name, **_head(vector)}
        lines = [f'"{key}": {json.dumps(entry)}' for key, entry in head.items()]
        lines += [f'"{key}": {_literal(array)}' for key, array in vector.arrays.items()]
        blocks.append(_block("{}", lines))
    lines = [f'"format": {FORMAT}', f'"function": "{_function(row)}"']
    lines += [f'"cases": {_block("[]", blocks)}']
    return f"{_block('{}', lines)}\n".encode()


def _function(row: Row) -> str:
    return f"{row.dialect}.{row.function.__name__}"


def _head(vector: Vector) -> dict[str, Any]:
    return {"family": vector.family, "dtype": vector.dtype, "options": vector.options}


def _block(brackets: str, lines: list[str]) -> str:
    """Lines with commas between, and a bracket on a line before and after."""
    return "\n".join([brackets[0], ",\n".join(lines), brackets[1]])


def _literal(array: Array) -> str:
    """An array as JSON."""
    data = " ".join(hexadecimal(x) for x in array.ravel().astype(np.float64).tolist())
    return json.dumps({"shape": array.shape, "data": data})


def hexadecimal(x: float) -> str:
    """float.hex without the zeros at the end; one digit stays, for Rust's hexf insists on one."""
    mantissa, mark, exponent = x.hex().partition("p")
    if not mark:  # nan, inf
        return mantissa
    digits = mantissa.rstrip("0")
    return digits + "0" * digits.endswith(".") + mark + exponent


def _npz(named: dict[str, Vector]) -> bytes:
    """As np.savez, but with a date, a system and an order of bytes that are always the same.

    Not compressed, for how well that is done depends on the zlib at hand.
    """
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name, vector in named.items():
            for key, array in vector.arrays.items():
                one, kind = BytesIO(), array.dtype.newbyteorder("<")
                np.lib.format.write_array(one, np.ascontiguousarray(array, kind), version=(1, 0))
                info = zipfile.ZipInfo(f"{name}/{key}.npy", (1980, 1, 1, 0, 0, 0))
                info.create_system = 3
                archive.writestr(info, one.getvalue())
    return whole.getvalue()
