"""Weights in a file: an npz of arrays under their names, without pickles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.files import replacing
from stn_ref.nn.layer import Params
from stn_ref.nn.trees import mapped, named, renamed


def save_weights(path: str | Path, params: Params) -> None:
    """Write every array under its name, "2/f_loc/0/W"; the file is whole or not there.

    Raises OSError if it cannot be written.
    """
    write_arrays(Path(path), dict(named(params)))


def load_weights(path: str | Path, like: Params) -> Params:
    """Weights alike in structure, shapes and dtypes to those of `initialise`.

    Raises OSError if there is no such file, ValueError if it holds something else.
    """
    return tree_of(read_arrays(Path(path)), like, path)


def write_arrays(path: Path, arrays: dict[str, Array]) -> None:
    """An npz, at once."""
    with replacing(path) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of an npz by their names."""
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except Exception as error:  # a broken zip raises almost anything
            raise ValueError(f"{path} is no npz of arrays: {error}") from error


def tree_of(arrays: dict[str, Array], like: Params, path: str | Path) -> Params:
    """The arrays in the structure of `like`, cast to its dtypes."""
    names = {name for name, _ in named(like)}
    if names != set(arrays):
        missing, extra = sorted(names - set(arrays)), sorted(set(arrays) - names)
        raise ValueError(f"{path} is of another network: it lacks {missing} and has {extra}")

    def found(name: str, leaf: Array) -> Array:
        if arrays[name].shape != leaf.shape:
            shape = arrays[name].shape
            raise ValueError(f"{path} has {name} of shape {shape}; expected {leaf.shape}")
        return arrays[name].astype(leaf.dtype)

    return mapped(found, renamed(like), like)
