"""Historical retrievals: training sets that are computed when they are asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from lodestore._rows import ArrowRows, optional, to_pandas
from lodestore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas
    import pyarrow

    from lodestore import _lodestore

__all__ = ["RetrievalJob"]


class RetrievalJob(ArrowRows):
    """A historical retrieval. It runs when its answer is asked for, each time anew.

    The answer has exactly one row for each row of the entity frame, in its order: the frame's columns untouched, then
    the features in the order asked. It implements the Arrow PyCapsule interface, as the frames of most libraries do.

    While it runs in the main thread, a line on standard error tells how far it is, if that is a terminal or a notebook;
    the environment variable ``LODESTORE_PROGRESS=0`` keeps it away. Ctrl-C stops it at once.
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
        features = to_pandas(self._collected(), only=self._rows.feature_names)
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
        pyarrow = optional("pyarrow", "arrow")
        batches = self._rows.batches()
        # Not as a stream of the C interface, which would tell Ctrl-C as an error like any other.
        return pyarrow.RecordBatchReader.from_batches(pyarrow.schema(batches), map(pyarrow.record_batch, batches))

    def to_parquet(
        self,
        path: str | os.PathLike[str],
        *,
        partition_by: Sequence[str] | None = None,
        max_rows_per_file: int | None = None,
    ) -> int:
        """Writes the answer as Parquet, as it comes: it need not fit into memory.

        What is written is complete or not there. A file that is there is replaced; a folder must be new or empty.

        Parameters
        ----------
        path : str or path
            A file, if it ends with ``.parquet``; else a folder of files. It may be the URL of an object store, as in
            ``s3://bucket/training/``.
        partition_by : sequence of str, optional
            Columns whose values become folders, as ``day=2024-01-01``. A file source reads them back.
        max_rows_per_file : int, optional
            How many rows a file of a folder has at the most.

        Returns
        -------
        int
            The number of rows.

        Raises
        ------
        AlreadyExistsError
            If the folder has files in it.

        Examples
        --------
        >>> from datetime import datetime
        >>> questions = {"driver_id": [1001, 1002], "event_timestamp": [datetime(2024, 1, 1, 12)] * 2}
        >>> job = store.get_historical_features(questions, ["driver_stats:trips"])
        >>> training = repo_path.joinpath("training")
        >>> job.to_parquet(training, partition_by=["driver_id"])
        2
        >>> sorted(folder.name for folder in training.iterdir())
        ['driver_id=1001', 'driver_id=1002']
        """
        return self._rows.write_parquet(os.fspath(path), list(partition_by or []), max_rows_per_file)

    def to_csv(self, path: str | os.PathLike[str]) -> int:
        """Writes the answer as CSV, as it comes. It is complete or not there.

        Parameters
        ----------
        path : str or path
            A file, if it ends with ``.csv``; else a folder. It may be the URL of an object store.

        Returns
        -------
        int
            The number of rows.
        """
        return self._rows.write_csv(os.fspath(path))

    def to_delta(
        self,
        path: str | os.PathLike[str],
        *,
        partition_by: Sequence[str] | None = None,
        mode: Literal["error", "append"] = "error",
    ) -> int:
        """Writes the answer as a Delta Lake table, as it comes and in one commit.

        Parameters
        ----------
        path : str or path
            The table's folder, or the URL of one in an object store.
        partition_by : sequence of str, optional
            Columns that a new table is partitioned by.
        mode : {"error", "append"}, optional
            What to do if there is a table: nothing, or to add the rows to it.

        Returns
        -------
        int
            The number of rows.

        Raises
        ------
        AlreadyExistsError
            If there is a table, unless ``mode`` is ``"append"``.
        """
        if mode not in ("error", "append"):
            raise InvalidError(f"mode {mode!r} is not known; expected 'error' or 'append'")
        return self._rows.write_delta(os.fspath(path), list(partition_by or []), mode == "append")

    def explain(self, analyze: bool = True) -> str:
        """Returns how the job runs, for people.

        Parameters
        ----------
        analyze : bool, optional
            Whether to run the job, throw its answer away, and tell of each view the strategy and why it was chosen,
            files and row groups read and pruned, rows, bytes, the time of each stage, and what was spilled. Without
            it the job is only planned.

        Returns
        -------
        str
            The plan, and what it took.

        Examples
        --------
        >>> from datetime import datetime
        >>> questions = {"driver_id": [1001], "event_timestamp": [datetime(2024, 1, 1, 12)]}
        >>> job = store.get_historical_features(questions, ["driver_stats:trips"])
        >>> [line for line in job.explain().splitlines() if line.startswith("  rows")]
        ['  rows        3 scanned, 2 matched, 0 decoded, 0 fetched']
        """
        return self._rows.explain(analyze)

    def _collected(self) -> _lodestore.ArrowTable:
        return self._rows.collect()

    @property
    def schema(self) -> pyarrow.Schema:
        """The schema of the answer; the job does not run for it. Needs pyarrow."""
        return optional("pyarrow", "arrow").schema(self._rows)
