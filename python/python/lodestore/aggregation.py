"""Aggregations: features that are computed over a window of a key's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodestore._definition import duration, duration_text, parse_duration, text, text_map
from lodestore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

__all__ = ["Aggregation"]

_LIFETIME = "lifetime"


class Aggregation:
    """A feature of a view: a function of a column over the events of a window.

    The window of a question at time e has the events of its key after ``floor(e - time_window, slide_interval)`` and up
    to e.

    Parameters
    ----------
    function : str
        What is computed: ``"mean"``, ``"count"``, ``"last_n(3)"``, ``"approx_percentile(0.5, 0.99)"`` and others.
    column : str, optional
        The column that it is computed of; left out to count events.
    time_window : timedelta or "lifetime"
        How long the window is.
    slide_interval : timedelta, optional
        By how much the window's start moves at a time; zero for an exact window. By default five minutes for windows
        up to 12 hours, an hour up to 12 days, and a day beyond.
    name : str, optional
        The feature's name, by default column, function and window, as in ``arr_delay_mean_24h``.
    where : str, optional
        Which events count: a condition on their columns, as in ``"dep_delay > 15"``.
    by : str, optional
        The column whose values decide, for ``"min_by"`` and ``"max_by"``.
    group_by : str, optional
        A column for each of whose values the function is computed: the feature is a map.
    offset : timedelta, optional
        How long before the question the window ends.
    description : str, optional
        What it is.
    tags : dict of str to str, optional
        Labels.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    InvalidError
        If a length of time is negative.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from lodestore import Aggregation
    >>> late = Aggregation(function="count", time_window=timedelta(hours=1), where="dep_delay > 15")
    >>> late.to_document()
    {'function': 'count', 'time_window': '1h', 'where': 'dep_delay > 15'}
    """

    def __init__(
        self,
        column: str = "",
        function: str = "",
        time_window: timedelta | str | None = None,
        slide_interval: timedelta | None = None,
        name: str | None = None,
        *,
        where: str = "",
        by: str = "",
        group_by: str = "",
        offset: timedelta | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.name = text(self, "name", name or "")
        self.function = text(self, "function", function)
        if not function:
            raise InvalidError(f"{self}: function is missing, as in 'mean' or 'count'")
        self.column = text(self, "column", column or "")
        if time_window is None or (isinstance(time_window, str) and time_window != _LIFETIME):
            raise TypeError(f"{self}: time_window must be a timedelta or 'lifetime', not {time_window!r}")
        self.time_window = time_window if isinstance(time_window, str) else duration(self, "time_window", time_window)
        self.slide_interval = None if slide_interval is None else duration(self, "slide_interval", slide_interval)
        self.where = text(self, "where", where)
        self.by = text(self, "by", by)
        self.group_by = text(self, "group_by", group_by)
        self.offset = duration(self, "offset", offset)
        self.description = text(self, "description", description)
        self.tags = text_map(self, "tags", tags)

    def to_document(self) -> dict[str, Any]:
        """Returns the aggregation as a document has it: a dict of JSON values.

        Returns
        -------
        dict
            The aggregation's part of a definition file.
        """
        window = self.time_window if isinstance(self.time_window, str) else duration_text(self.time_window)
        optional = {
            "by": self.by,
            "time_window": window,
            "slide_interval": "" if self.slide_interval is None else duration_text(self.slide_interval),
            "offset": duration_text(self.offset) if self.offset else "",
            "where": self.where,
            "group_by": self.group_by,
            "description": self.description,
            "tags": dict(self.tags),
        }
        first = {"name": self.name, "function": self.function, "column": self.column}
        return {key: value for key, value in {**first, **optional}.items() if value}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Aggregation:
        """Returns the aggregation of a document's part.

        Parameters
        ----------
        document : dict
            What :meth:`to_document` gives.

        Returns
        -------
        Aggregation
            The aggregation.
        """
        lengths = {key: parse_duration(document[key]) for key in ("slide_interval", "offset") if key in document}
        window = document["time_window"]
        lengths["time_window"] = window if window == _LIFETIME else parse_duration(window)
        return cls(**{**document, **lengths})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aggregation) and self.to_document() == other.to_document()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        shown = getattr(self, "name", "") or " of ".join(
            part for part in (getattr(self, "function", ""), getattr(self, "column", "")) if part
        )
        return f"aggregation '{shown}'"

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if value)
        return f"Aggregation({given})"
