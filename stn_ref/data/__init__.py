"""Data sets: the digits that ship with the package."""

from stn_ref.data.digits import Digits, digits

__all__ = ["Digits", "digits"]
