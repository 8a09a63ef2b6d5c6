"""Reports of materialisation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from lodestore._rows import moment

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["MaterializationReport", "MaterializedView"]


class MaterializedView(NamedTuple):
    """What became of the rows of one view. ``rows_read`` is the sum of the three that follow it."""

    view: str
    """The view and its version, as in ``driver_stats@1``."""
    start: datetime | None
    """Rows after this event time were taken; None for all."""
    until: datetime
    """Rows up to this event time were taken."""
    rows_read: int
    """Rows that were read."""
    rows_written: int
    """Rows that are now stored."""
    rows_skipped: int
    """Rows that lost to newer ones."""
    rows_refused: int
    """Rows that could not be taken."""
    refused: dict[str, int]
    """How many rows were refused for which reason."""
    refused_file: str | None
    """The file with the refused rows."""
    seconds: float
    """How long it took."""

    def __str__(self) -> str:
        return (
            f"{self.view}: {self.rows_read} rows read, {self.rows_written} written, "
            f"{self.rows_skipped} skipped, {self.rows_refused} refused"
        )


class MaterializationReport(NamedTuple):
    """What a materialisation did, by view."""

    views: list[MaterializedView]
    """The views, in the order of the work."""

    @classmethod
    def parse(cls, text: str) -> MaterializationReport:
        """Returns the report of the engine's JSON text."""
        return cls([_view(entry) for entry in json.loads(text)])

    def __str__(self) -> str:
        return "\n".join(map(str, self.views)) or "no views to materialize"


def _view(entry: dict[str, Any]) -> MaterializedView:
    start_us, until_us = entry.pop("start_us"), entry.pop("until_us")
    return MaterializedView(start=None if start_us is None else moment(start_us), until=moment(until_us), **entry)
