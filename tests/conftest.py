import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # several runs may share the cores
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from tests.peers import summary
from tests.simulator import SIMULATED

# the same cases every time; HYPOTHESIS_PROFILE=thorough draws many new ones
settings.register_profile("repeatable", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=3000, deadline=None, print_blob=True)
settings.register_profile("simulated", max_examples=4, deadline=None, derandomize=True)
usual = "simulated" if SIMULATED else "repeatable"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


COUNTED = []  # what the processes of `pytest -n` have counted


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["counted"] = list(summary())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    COUNTED.extend(getattr(node, "workeroutput", {}).get("counted", []))


def pytest_terminal_summary(terminalreporter):
    """What the comparison with other frameworks has counted."""
    lines = COUNTED or list(summary())
    if lines:
        terminalreporter.section("the oracle beside its frameworks: cases")
        for line in lines:
            terminalreporter.line(line)
