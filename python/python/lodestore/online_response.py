"""Answers of the online store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodestore._rows import ArrowRows, optional

if TYPE_CHECKING:
    import numpy

    from lodestore import _lodestore

__all__ = ["OnlineResponse"]


class OnlineResponse(ArrowRows):
    """Features of keys. Row i answers row i of what was asked; the caller's columns come first, then the features.

    It implements the Arrow PyCapsule interface, as the frames of most libraries do.
    """

    _rows: _lodestore.OnlineResponse

    def __init__(self, response: _lodestore.OnlineResponse) -> None:
        self._rows = response

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, list[Any]]:
        """Returns lists of Python values, by column.

        Parameters
        ----------
        include_event_timestamps : bool, optional
            Whether to add, for each feature, a column ``<name>__ts`` with the event times of the rows that answered.

        Returns
        -------
        dict of str to list
            The caller's columns, then the features.

        Examples
        --------
        >>> answer = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1001}, {"driver_id": 7}])
        >>> answer.to_dict()
        {'driver_id': [1001, 7], 'trips': [12, None]}
        """
        return self._rows.to_dict(include_event_timestamps)

    def to_numpy(self) -> numpy.ndarray[Any, Any]:
        """Returns the features as one array, as most models take them: without the caller's columns.

        Integers beyond 2**53 are rounded; :meth:`to_arrow` keeps every type.

        Returns
        -------
        numpy.ndarray
            Shape (rows, features), float64: a row for each row asked for, a column for each feature in the order
            asked. Bools are 0 and 1. Null and missing values are NaN.

        Raises
        ------
        InvalidError
            If a feature is neither a number nor a bool.
        ImportError
            If numpy is not installed.

        Examples
        --------
        >>> answer = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1001}, {"driver_id": 7}])
        >>> answer.to_numpy().tolist()
        [[12.0], [nan]]
        """
        numpy = optional("numpy", "numpy")
        return numpy.frombuffer(self._rows.matrix(), dtype=numpy.float64).reshape(-1, self._rows.width())

    def statuses(self) -> dict[str, list[str]]:
        """Returns what was found, by feature column.

        Returns
        -------
        dict of str to list of str
            ``PRESENT``; ``NULL_VALUE``, the stored value is null; ``NOT_FOUND``, there is no row for the key;
            ``OUTSIDE_MAX_AGE``, the row is older than the view's TTL and the value is null.

        Examples
        --------
        >>> answer = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1001}, {"driver_id": 7}])
        >>> answer.statuses()
        {'trips': ['PRESENT', 'NOT_FOUND']}
        """
        return self._rows.statuses()
