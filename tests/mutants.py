"""Break the code one token at a time and see the tests go red: `python -m tests.mutants [PART …]`.

mutations.txt holds the breaks, of which those of files with a PART in their path are made, or all.
Each is made in a copy of the tree, where the test it names must fail; a break that survives, whose
test does not end, or whose old text is no longer there just once, is a failure.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from stn_ref.progress import progress

ROOT = Path(__file__).parents[1]
PARTS = ("stn_ref", "tests", "docs", "tutorials", "figures", "setup.cfg", "README.md")
PARTS += ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
FAILED = 1  # pytest's exit status when tests ran and some failed


class Mutation(NamedTuple):
    file: str
    old: str
    new: str
    test: str

    def applies(self) -> bool:
        return (ROOT / self.file).read_text().count(self.old) == 1

    def is_caught(self) -> bool:
        """Whether the test fails in a copy of the tree that has the break."""
        with tempfile.TemporaryDirectory() as copy:
            for part in PARTS:
                source, target = ROOT / part, Path(copy) / part
                if source.is_dir():
                    shutil.copytree(source, target, ignore=shutil.ignore_patterns("_build"))
                else:
                    shutil.copy(source, target)
            broken = Path(copy) / self.file
            broken.write_text(broken.read_text().replace(self.old, self.new))
            command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider"]
            try:
                run = subprocess.run(
                    [*command, f"tests/{self.test}"], cwd=copy, capture_output=True, timeout=600
                )
            except subprocess.TimeoutExpired:
                return False
        return run.returncode == FAILED


def mutations() -> list[Mutation]:
    blocks = (ROOT / "tests" / "mutations.txt").read_text().split("\n\n")[1:]
    found = []
    for block in blocks:
        file, rest = block.strip().split("\n- ", 1)
        old, rest = rest.split("\n+ ", 1)
        new, test = rest.split("\n> ", 1)
        found.append(Mutation(file, old, new, test))
    return found


def main(parts: list[str]) -> int:
    found = [m for m in mutations() if not parts or any(part in m.file for part in parts)]
    stale = [m for m in found if not m.applies()]
    tried = [m for m in found if m not in stale]
    survivors = []
    with ThreadPoolExecutor(2) as pool:
        for m, caught in zip(
            progress(tried, "breaking"), pool.map(Mutation.is_caught, tried), strict=True
        ):
            survivors += [] if caught else [m]
    for word, bad in (("no longer applies", stale), ("survived", survivors)):
        for m in bad:
            print(f"{word}: {m.file}\n- {m.old}\n+ {m.new}\n> {m.test}\n")
    print(f"{len(found)} breaks, {len(survivors)} survived, {len(stale)} no longer apply")
    return 1 if survivors or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
