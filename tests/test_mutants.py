"""The breaks of mutations.txt: all apply, and some are replayed here (`make mutants`: all).

One for every file of equations, one for each folder of compiled code.
"""

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants import ROOT, mutations
from tests.test_guide import names_in

FOUND = mutations()
FEW = list({m.file if "equations" in m.file else Path(m.file).parent: m for m in FOUND}.values())
NOTHING_TO_BREAK = ("__init__.py", "quiet.py")


@pytest.mark.parametrize("mutation", FOUND, ids=lambda m: f"{Path(m.file).name}: {m.new[:40]}")
def test_a_break_applies_and_names_a_test(mutation):
    assert mutation.applies(), f"{mutation.old!r} is not in {mutation.file} just once"
    file, test = mutation.test.split("::")
    assert test in names_in(file)


def test_every_equation_file_has_at_least_five_breaks():
    counts = Counter(m.file for m in FOUND)
    for path in (ROOT / "stn_ref" / "equations").glob("*.py"):
        if path.name not in NOTHING_TO_BREAK:
            assert counts[str(path.relative_to(ROOT))] >= 5, path.name


@pytest.mark.slow
@pytest.mark.parametrize("mutation", FEW, ids=lambda m: m.file)
def test_a_break_is_caught(mutation):
    assert mutation.is_caught()
