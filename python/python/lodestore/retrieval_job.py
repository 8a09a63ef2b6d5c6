"""Historical retrievals: training sets that are computed when they are asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lodestore._rows import ArrowRows, optional, to_pandas

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from lodestore import _lodestore

__all__ = ["RetrievalJob"]


class RetrievalJob(ArrowRows):
    """A historical retrieval. It runs when its answer is asked for, each time anew.

    The answer has exactly one row for each row of the entity frame, in its order: the frame's columns untouched, then
    the features in the order asked. It implements the Arrow PyCapsule interface, as the frames of most libraries do.
    """

    _rows: _lodestore.RetrievalJob

    def __init__(self, job: _lodestore.RetrievalJob, frame: pandas.DataFrame | None = None) -> None:
        self._rows = job
        # Shallow: the caller may add and drop columns and rows of the frame before the job runs.
        self._frame = None if frame is None else frame.copy(deep=False)

    @property
    def feature_names(self) -> list[str]:
        """The names of the answer's feature columns, in the order asked.

        Returns
        -------
        list of str
            The names.
        """
        return self._rows.feature_names

    def to_df(self) -> pandas.DataFrame:
        """Returns the answer as a pandas frame.

        If the entity frame was a pandas frame, its columns, dtypes, row order and index are kept as they are, with the
        features after them. A feature's dtype follows from its type alone, never from whether values are missing:
        integers and booleans are pandas' nullable ones (``Int64``, ``Int32``, ``boolean``), floats are numpy's (in
        which null and NaN are the same; :meth:`to_arrow` tells them apart), timestamps are ``datetime64[us, UTC]``,
        text is pandas' text, vectors are numpy arrays, everything else Python objects.

        Returns
        -------
        pandas.DataFrame
            The answer.

        Raises
        ------
        ImportError
            If pandas or pyarrow is not installed.

        Examples
        --------
        >>> from datetime import datetime
        >>> import pandas
        >>> questions = pandas.DataFrame({"driver_id": [1001], "event_timestamp": [datetime(2024, 1, 1, 12)]})
        >>> job = store.get_historical_features(entity_df=questions, features=["driver_stats:trips"])
        >>> job.to_df()["trips"].dtype
        Int64Dtype()
        """
        if self._frame is None:
            return super().to_df()
        pandas = optional("pandas", "pandas")
        features = to_pandas(self._rows, only=self._rows.feature_names)
        features.index = self._frame.index
        return pandas.concat([self._frame, features], axis="columns")

    def to_batches(self) -> pyarrow.RecordBatchReader:
        """Returns the answer as a stream of record batches, for what does not fit into memory.

        Returns
        -------
        pyarrow.RecordBatchReader
            The batches, in order.

        Raises
        ------
        ImportError
            If pyarrow is not installed.
        """
        return optional("pyarrow", "arrow").RecordBatchReader.from_stream(self._rows)

    def to_parquet(self, path: str | os.PathLike[str]) -> int:
        """Writes the answer to a Parquet file. It is complete or not there.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        int
            The number of rows.
        """
        return self._rows.write_parquet(os.fspath(path))

    def explain(self) -> str:
        """Returns how the job would run, for people.

        Returns
        -------
        str
            The plan.
        """
        return self._rows.explain()

    @property
    def schema(self) -> pyarrow.Schema:
        """The schema of the answer; the job does not run for it. Needs pyarrow."""
        return optional("pyarrow", "arrow").schema(self._rows)
