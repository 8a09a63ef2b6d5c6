"""The engine, compiled from Rust: the few functions that the Python layer calls.

Conventions, the same for every function:

* Times are whole microseconds since 1970-01-01 UTC, by names that end in ``_us``.
* Definitions and reports are JSON text. A document is the one of the definition files, ``{"version": 1, ...}``.
* ``Rows`` come in as an object of the Arrow PyCapsule interface (``__arrow_c_stream__`` or ``__arrow_c_array__``, with
  every column taken as it is), or as a dict of lists of equal length, whose values are Python's: None, bool, int,
  float, str, bytes, datetime (without a zone it is UTC), date, decimal.Decimal, uuid.UUID, list, dict. A column takes
  the declared type of the key, time or feature that it is; any other one the type of its values.
* What is of another type than its annotation is a TypeError, as PyO3 makes it.
* An error of kind K is raised as the class of that name of ``lodestore.errors``, made of one argument, the message.
* What may take long releases the GIL, and stops with KeyboardInterrupt when Ctrl-C is pressed.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Protocol, TypeAlias, final

class ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

Rows: TypeAlias = ArrowStream | ArrowArray | dict[str, list[object]]

__version__: str
"""The version of the package."""

@final
class FeatureStore:
    """An open feature store."""

    @staticmethod
    def open(
        repo_path: str | None, settings_file: str | None, settings: str | None, now_us: int | None
    ) -> FeatureStore:
        """Opens the store of a feature repository.

        ``repo_path`` is the repository's folder, to which relative paths count; None for the folder of
        ``settings_file``, else the working directory. Settings are those of ``settings`` (JSON text), else of
        ``settings_file``, else of ``feature_store.yaml`` in the folder. Both at once are Invalid. With ``now_us`` the
        store's clock stands still at that moment.
        """

    @property
    def project(self) -> str:
        """The name of the project."""

    def refresh(self) -> None:
        """Loads the registry's present state."""

    def plan(self, document: str | None, delete: list[tuple[str, str]], force: bool) -> Plan:
        """Plans a change of the registry.

        With a ``document`` its objects are put beside those that are there, and the objects of ``delete`` are
        removed: pairs of kind ("entity", "data source", "feature view", "feature service") and name, NotFound if
        there is no such object. Without a document the definition files of the repository are the whole project and
        what is not in them is removed; Python files are read by ``sys.executable -m lodestore._repo <folder>``, which
        prints a document. ``force``: the plan may drop what feature services pin (rule N3).
        """

    def apply(self, plan: Plan) -> None:
        """Commits a plan. Conflict if the registry changed since it was made; Invalid if it had to be forced."""

    def keep_frame(self, source: str, rows: Rows) -> None:
        """Keeps a frame in memory as the table of the memory source of this name, in place of the one before."""

    def teardown(self) -> None:
        """Removes the project's definitions, its online rows and its watermarks. Sources and datasets stay."""

    def definitions(self) -> str:
        """Returns the document of all definitions as they were last applied."""

    def definition(self, kind: str, name: str) -> str:
        """Returns the document of one definition and of those that it names, directly or not. Kinds as in `plan`."""

    def feature_view_versions(self, name: str) -> str:
        """Returns ``[{"version": int, "hash": str, "created_at_us": int, "current": bool}]``, the oldest first."""

    def historical_features(
        self,
        questions: Rows | str | PathLike[str] | None,
        features: tuple[str, ...] | str,
        full_feature_names: bool,
        start_us: int | None,
        end_us: int | None,
        as_known: bool,
        use_defaults: bool,
    ) -> RetrievalJob:
        """Plans a historical retrieval; nothing is computed yet. The questions are read here, once.

        Text is an SQL query over the data sources, and a path is that of a Parquet or CSV file.
        ``features`` are references ``view:feature``, or the name of a feature service. Without questions, the
        questions are every row of the views in (start, end] (rule P9). Questions and an interval are Invalid, as are
        neither.
        """

    def create_saved_dataset(
        self, job: RetrievalJob, name: str, path: str, tags: dict[str, str], overwrite: bool
    ) -> str:
        """Runs a job, writes its answer as Parquet and records it. Returns the dataset, as `saved_datasets` does.

        AlreadyExists, without `overwrite`, if there is a dataset of that name or something at the path.
        """

    def saved_datasets(self) -> str:
        """Returns, by name, ``[{"name": str, "path": str, "created_at_us": int, "rows": int, "features": [str],
        "plan": str, "fingerprints": [str], "tags": {str: str}}]``.
        """

    def saved_dataset(self, name: str) -> str:
        """Returns one saved dataset, as one of `saved_datasets`."""

    def read_saved_dataset(self, name: str) -> ArrowTable:
        """Returns the rows of a saved dataset."""

    def materialize(self, start_us: int, end_us: int, feature_views: list[str] | None, progress: bool | None) -> str:
        """Writes the rows with an event time in (start, end] to the online store; all online views by default.

        ``progress``: draw on standard error; None for where that is a terminal. Returns a list, in the order of
        the work, of ``{"view": "driver_stats@1", "start_us": int | null, "until_us": int, "rows_read": int,
        "rows_written": int, "rows_skipped": int, "rows_refused": int, "refused": {reason: int},
        "refused_file": str | null, "seconds": float}``.
        """

    def materialize_incremental(self, end_us: int, feature_views: list[str] | None, progress: bool | None) -> str:
        """Writes what arrived since the watermark, up to ``end_us``. Returns a report as `materialize` does."""

    def online_features(
        self,
        features: tuple[str, ...] | str,
        rows: Rows | Sequence[Mapping[str, object]] | Mapping[str, object],
        full_feature_names: bool,
        use_defaults: bool,
    ) -> OnlineResponse:
        """Reads features of keys as of now. Row i of the answer is row i of ``rows``. Features as in
        `historical_features`.
        """

    def push(self, push_source: str, rows: Rows, to: str) -> None:
        """Writes rows to all views of a push source; ``to`` is "online", "offline" or "online_and_offline"."""

    def write_online(self, feature_view: str, rows: Rows) -> None:
        """Writes rows of a view to the online store: keys, times, and all or some features."""

    def delete_online(self, feature_view: str, rows: Rows) -> None:
        """Deletes keys of a view from the online store as of now."""

@final
class Plan:
    """A change of the registry that was not made yet."""

    def __str__(self) -> str:
        """Returns what would change, a line each, as ``lodestore plan`` prints it."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""

    def to_json(self) -> str:
        """Returns the plan as the registry writes it: ``{"project": str, "base_revision": int, "steps": [{"action":
        "create" | "update" | "remove", "object": {"kind": str, "name": str}, ...}], "blockers": [], "summary": {}}``.
        """

@final
class RetrievalJob:
    """A historical retrieval that runs when its answer is asked for, each time anew."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Runs the job: the questions' columns untouched, then the features in the order asked."""

    def __arrow_c_schema__(self) -> object:
        """Returns the schema of the answer without running the job."""

    @property
    def feature_names(self) -> list[str]:
        """The names of the answer's feature columns, in their order."""

    def collect(self) -> ArrowTable:
        """Runs the job, and returns its whole answer."""

    def batches(self) -> RecordBatches:
        """Runs the job, up to the first batch of its answer."""

    def explain(self, analyze: bool) -> str:
        """Returns how the job would run; with ``analyze`` it runs, and what it took is told."""

    def write_parquet(self, path: str, partition_by: list[str], max_rows_per_file: int | None) -> int:
        """Runs the job into a Parquet file or a folder of them, complete or not there; returns the number of rows."""

    def write_csv(self, path: str) -> int:
        """Runs the job into a CSV file, complete or not there; returns the number of rows."""

    def write_delta(self, path: str, partition_by: list[str], append: bool) -> int:
        """Runs the job into a Delta Lake table, in one commit; returns the number of rows."""

@final
class OnlineResponse:
    """Features of keys, read from the online store. The Arrow form has the same columns as `to_dict`."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...
    def matrix(self) -> bytearray:
        """Returns the features' values as float64, row by row; NaN where there is none."""

    def width(self) -> int:
        """Returns how many features there are."""

    def to_dict(self, include_event_timestamps: bool) -> dict[str, list[object]]:
        """Returns lists of Python values: the caller's columns, then the features in the order asked.

        With event timestamps, for each feature also ``<name>__ts``: datetimes in UTC, None where there is none.
        """

    def statuses(self) -> dict[str, list[str]]:
        """Returns, for each feature column, the statuses: PRESENT, NULL_VALUE, NOT_FOUND or OUTSIDE_MAX_AGE."""

@final
class RecordBatches:
    """Record batches that are computed as they are asked for, by one thread at a time."""

    def __iter__(self) -> RecordBatches: ...
    def __next__(self) -> ArrowArray: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class ArrowTable:
    """Rows that were read."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...
