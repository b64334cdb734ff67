"""Weights in files: whole or not there, arrays under their names, nothing pickled."""

import re

import numpy as np
import pytest

from stn_ref import files
from stn_ref.nn import Dense, Flatten, Sequential, SpatialTransformer, load_weights, save_weights
from stn_ref.nn.trees import cast, mapped, named
from stn_ref.nn.weights import write_arrays
from tests.networks import same_bits

NETWORK = Sequential(SpatialTransformer(Flatten()), Flatten(), Dense(2))


@pytest.fixture
def params(rng):
    return NETWORK.initialise(rng, (2, 2, 1))[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_what_is_saved_comes_back_bit_for_bit(dtype, params, tmp_path):
    params = cast(params, dtype)
    path = tmp_path / "new" / "weights.npz"
    save_weights(path, params)
    like = mapped(np.zeros_like, params)
    assert same_bits(load_weights(path, like), params)
    assert same_bits(load_weights(str(path), like), params)


def test_the_file_holds_arrays_under_their_names_whatever_it_is_called(params, tmp_path):
    save_weights(tmp_path / "weights", params)
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]
    with np.load(tmp_path / "weights", allow_pickle=False) as file:
        assert same_bits(dict(file), dict(named(params)))


def test_weights_take_the_precision_of_the_network_that_asks(params, tmp_path):
    save_weights(tmp_path / "w.npz", params)
    single = cast(params, np.float32)
    assert same_bits(load_weights(tmp_path / "w.npz", single), single)


def test_weights_of_another_network_are_an_error_that_names_what_is_missing(params, tmp_path):
    save_weights(tmp_path / "w.npz", params)
    deeper = Sequential(SpatialTransformer(Flatten()), Flatten(), Dense(2), Dense(2))
    wider = Sequential(SpatialTransformer(Flatten()), Flatten(), Dense(5))
    for network, message in (
        (deeper, "w.npz is of another network: it lacks ['3/W', '3/b'] and has []"),
        (Sequential(*NETWORK.layers[:2]), "it lacks [] and has ['2/W', '2/b']"),
        (wider, "w.npz has 2/W of shape (4, 2); expected (4, 5)"),
    ):
        like, _ = network.initialise(np.random.default_rng(0), (2, 2, 1))
        with pytest.raises(ValueError, match=re.escape(message)):
            load_weights(tmp_path / "w.npz", like)


def test_a_missing_file_is_a_missing_file(params, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        load_weights(tmp_path / "nowhere.npz", params)


def pickled(path):
    np.savez(path, **{"0/W": np.array([{"a": 1}], dtype=object)})


def single(path):
    with path.open("wb") as file:
        np.save(file, np.ones(3))


OTHER_FILES = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("weights"),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04N."),
    "a single array": single,
    "pickled objects": pickled,
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_another_file_is_an_error_that_names_it(name, params, tmp_path):
    path = tmp_path / "w.npz"
    OTHER_FILES[name](path)
    with pytest.raises(ValueError, match=r"w\.npz is no npz of arrays: "):
        load_weights(path, params)


def test_a_file_cut_short_or_altered_anywhere_is_never_taken_for_other_weights(params, tmp_path):
    path, whole = tmp_path / "w.npz", (np.arange(6.0).reshape(2, 3),)
    save_weights(path, whole)
    data = path.read_bytes()
    broken = [data[:k] for k in range(0, len(data), 7)]
    broken += [data[:k] + bytes([data[k] ^ 0x81]) + data[k + 1 :] for k in range(len(data))]
    for other in broken:
        path.write_bytes(other)
        try:
            found = load_weights(path, whole)
        except ValueError as error:
            assert "w.npz" in str(error)
        else:
            assert same_bits(found, whole)


# --- files that are whole or not there ---


def test_a_file_takes_its_place_once_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "down" / "file"
    for text in ("old", "new"):
        with files.replacing(path) as aside:
            aside.write_text(text)
            assert not path.exists() or path.read_text() == "old"
        assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_crash_half_way_leaves_the_old_file_and_nothing_else(tmp_path, error, monkeypatch):
    path = tmp_path / "w.npz"
    write_arrays(path, {"a": np.ones(2)})
    before = path.read_bytes()

    def half(file, **arrays):
        file.write(b"PK\3\4 half")
        raise error

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(type(error)):
        write_arrays(path, {"a": np.zeros(2)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(files.os, name)
        monkeypatch.setattr(
            files.os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))
        )
    with files.replacing(tmp_path / "file") as aside:
        aside.write_text("text")
    assert calls == ["fsync", "replace"]


def test_a_place_that_cannot_be_written_to_is_an_error(params, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="File exists"):
        save_weights(tmp_path / "file" / "w.npz", params)
