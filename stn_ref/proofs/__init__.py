"""Finite differences beside every gradient.

gradcheck, jvpcheck    the two checkers, for anyone's functions
knots                  where a sampler's derivative jumps
checks, forward_checks the list that `python -m stn_ref check` goes through, on the `cases`
"""

from stn_ref.lazy import lazily

__getattr__, __dir__ = lazily(__name__, {})
