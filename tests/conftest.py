import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=60, deadline=None, print_blob=True)
settings.load_profile("quick")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
