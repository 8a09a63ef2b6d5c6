"""The cases: what data a point-in-time join meets. Values only; `generate.py` makes the files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

FORMAT = 2
"""Raised with every change of what `generate.py` writes, so that older files are not taken for these."""

FEATURES = (*("float64",) * 10, *("int64",) * 4, *("int32",) * 2, "bool", "string")
"""The types of a view's features, in order."""


@dataclass(frozen=True)
class View:
    """A feature view: its rows are in `<name>.parquet`."""

    name: str
    keys: tuple[str, ...]

    def document(self) -> dict:
        """Returns the view as JSON values, with the type of each feature by name."""
        features = {f"{self.name}_{place:02}": kind for place, kind in enumerate(FEATURES)}
        return {"name": self.name, "keys": self.keys, "file": f"{self.name}.parquet", "features": features}


DRIVER = View("driver", ("driver_id",))
CUSTOMER = View("customer", ("customer_id",))
TRIP = View("trip", ("driver_id", "customer_id"))


@dataclass(frozen=True)
class Case:
    """A point-in-time join: views of so many rows each, asked so many questions."""

    name: str
    about: str
    rows: int = 10_000_000
    questions: int = 1_000_000
    keys: int = 100_000
    views: tuple[View, ...] = (DRIVER,)
    order: str = "shuffled"
    """The order of the rows in the files: `shuffled`, `key` (then time) or `time`."""
    key_type: str = "int64"
    asked_keys: float = 1.0
    """The share of the keys that questions are about."""
    hot_rows: float = 0.0
    """The share of the rows, and of the questions, that the first key has."""
    ttl_seconds: int | None = 2 * 24 * 3600
    """Nine in ten questions have an answer by default; without a TTL, 99 in a hundred."""

    def scaled(self, divisor: int) -> Case:
        """Returns the case with all of its sizes divided."""
        return replace(
            self,
            rows=max(1, self.rows // divisor),
            questions=max(1, self.questions // divisor),
            keys=max(1, self.keys // divisor),
        )

    def document(self) -> dict:
        """Returns the case as JSON values: what `case.json` says of the files beside it."""
        return {"format": FORMAT} | asdict(self) | {"views": [view.document() for view in self.views]}


SMALL = {"rows": 1_000_000, "questions": 100_000, "keys": 10_000}
THREE = (DRIVER, CUSTOMER, TRIP)

CASES = {
    case.name: case
    for case in (
        Case("small", "1M rows, 100k questions", **SMALL),
        Case("large", "10M rows, 1M questions"),
        Case("three_views_small", "three views of 1M rows, each with keys of its own", **SMALL, views=THREE),
        Case("three_views_large", "three views of 10M rows, each with keys of its own", views=THREE),
        Case("sorted", "rows sorted by key, then time", order="key"),
        Case("sorted_by_time", "rows sorted by time", order="time"),
        Case("missing_keys", "99 % of the rows have keys that nobody asks about", asked_keys=0.01),
        Case("hot_key", "one key has half of all rows and of all questions", hot_rows=0.5),
        Case("string_keys", "the key is text of 16 bytes", key_type="string"),
        Case("composite_keys", "the key has two columns", views=(TRIP,)),
        # Ten questions a key over 90 days: 90 days / 10 / 100 before each of them.
        Case("ttl", "a TTL under which 1 % of the rows can answer any question", ttl_seconds=7776),
        Case("no_ttl", "no TTL: however old, the latest row answers", ttl_seconds=None),
    )
}
