"""The sampler is held against stn_ref's oracle; so is one that is wrong left of pixel 0."""

import sys
from functools import partial
from pathlib import Path

import naive
import pytest
from hypothesis import Phase, given, settings

import stn_ref
from stn_ref.oracle import strategies, torch

BILINEAR = partial(torch.grid_sample, mode="bilinear", padding_mode="zeros", align_corners=False)
each = pytest.mark.parametrize(
    "sampler", (naive.grid_sample, naive.truncated), ids=("right", "wrong")
)


def test_the_oracle_is_the_one_that_is_installed():
    assert Path(stn_ref.__file__).is_relative_to(sys.prefix)


@each
def test_it_samples_as_torch_does(stn_oracle, sampler):
    stn_oracle.check(sampler, like=stn_oracle.torch.grid_sample)


@each
@given(call=strategies.calls(BILINEAR, strange=True))
@settings(phases=set(Phase) - {Phase.explain})  # which takes ten times as long as the rest
def test_every_call_is_within_the_bound(stn_oracle, sampler, call):
    arguments, _ = call
    stn_oracle.assert_within_bound(sampler(*arguments), BILINEAR, *arguments)
