"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; the file takes its place once that has succeeded.

    The directory is made if it is missing. Raises OSError if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".stn_ref", dir=path.parent) as aside:
        written = Path(aside) / path.name
        yield written
        with written.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(written, path)
