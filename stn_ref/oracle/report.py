"""What `check` reports: a row for each family, what is wrong, and code that shows it."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from stn_ref.equations.arguments import Array
from stn_ref.oracle.families import Case

MANY = 1e6  # bounds; by how many more than that it is wrong says nothing


class Failure(NamedTuple):
    """What differs, by how many bounds, and for which input."""

    family: str
    what: str
    units: float
    case: Case
    dtype: str
    message: str
    loss: Array | None = None  # the gradient of the output, where a gradient is wrong


class Row(NamedTuple):
    """A family in a dtype: cases run, cases wrong, the worst error in units of the bound."""

    family: str
    dtype: str
    drawn: int
    wrong: int
    worst: float


class Report(NamedTuple):
    """What `check` found; print it."""

    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    like: str
    paste: str

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.failures

    def raise_if_failed(self) -> None:
        """AssertionError with the report if anything was wrong."""
        if self.failures:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        lines = [f"{'family':15} {'dtype':8} cases wrong  worst error / bound"]
        for row in self.rows:
            worst = f"{row.worst:9.3g}" if row.worst < MANY else f"   > {MANY:.0e}"
            lines.append(f"{row.family:15} {row.dtype:8} {row.drawn:5} {row.wrong:5}  {worst}")
        lines.append("")
        if self.failures:
            kinds = Counter((f.family, f.what) for f in self.failures)
            first = {(f.family, f.what): f.message for f in reversed(self.failures)}
            for (family, what), count in kinds.items():
                more = f" (and {count - 1} more)" if count > 1 else ""
                lines.append(f"{family}: {what}: {first[family, what]}{more}")
            lines += ["", self.paste]
        else:
            lines.append(f"nothing differs from {self.like} by more than the bound")
        return "\n".join(lines)
