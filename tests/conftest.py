import os

import numpy as np
import pytest
from hypothesis import settings

from tests.peers import summary

# the same cases every time; HYPOTHESIS_PROFILE=thorough draws many new ones
settings.register_profile("repeatable", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=3000, deadline=None, print_blob=True)
settings.register_profile("simulated", max_examples=4, deadline=None, derandomize=True)
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"  # a thread takes a millisecond there
usual = "simulated" if SIMULATED else "repeatable"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))

if SIMULATED:
    from numba.cuda.simulator.kernel import BlockThread

    def is_alive(thread):
        """The simulator asks without pause, and so takes half of the time that it asks about."""
        if not thread.syncthreads_blocked:
            thread.join(0.0005)
        return super(BlockThread, thread).is_alive()

    BlockThread.is_alive = is_alive


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pytest_terminal_summary(terminalreporter):
    """What the comparison with other frameworks has counted."""
    lines = list(summary())
    if lines:
        terminalreporter.section("the oracle beside its frameworks: cases")
        for line in lines:
            terminalreporter.line(line)
