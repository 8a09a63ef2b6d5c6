"""Data sources: where the rows of feature views come from."""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Any, ClassVar

from lodestore._definition import (
    Definition,
    check_feast_only,
    duration,
    duration_text,
    parse_duration,
    parse_time,
    sequence,
    text,
    text_map,
    time_text,
    utc,
)
from lodestore.data_format import (
    ArrowFormat,
    CsvFormat,
    DeltaFormat,
    FileFormat,
    IcebergFormat,
    JsonFormat,
    ParquetFormat,
)
from lodestore.errors import InvalidError
from lodestore.field import Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from typing_extensions import TypedDict, Unpack

    from lodestore._rows import Frame

    class TimedTable(TypedDict, total=False):
        created_timestamp_column: str | None
        event_id: str | None
        field_mapping: Mapping[str, str] | None
        availability_delay: timedelta | None
        valid_from: str | None
        valid_to: str | None
        description: str | None
        tags: Mapping[str, str] | None
        owner: str | None
        event_timestamp_column: str | None

    class Table(TimedTable, total=False):
        timestamp_field: str | None

    class FileTable(Table, total=False):
        s3_endpoint_override: str | None
        connection_ref: object

    class PostgresTable(TimedTable, total=False):
        connection_ref: object


__all__ = [
    "DataFrameSource",
    "DataSource",
    "FileSource",
    "PostgreSQLSource",
    "PushMode",
    "PushSource",
    "RequestSource",
    "TableSource",
]

_FORMATS: dict[str, type[FileFormat]] = {
    form.name: form for form in (ParquetFormat, CsvFormat, JsonFormat, ArrowFormat, DeltaFormat, IcebergFormat)
}
_FILES_OF_FEAST: dict[str, tuple[object, str]] = {
    "s3_endpoint_override": (None, "set aws_endpoint under storage_options in feature_store.yaml"),
    "connection_ref": (None, "set storage_options in feature_store.yaml"),
}
_POSTGRES_OF_FEAST: dict[str, tuple[object, str]] = {
    "connection_ref": (None, "name a connection of feature_store.yaml, as in connection='warehouse'")
}


class PushMode(enum.Enum):
    """Which stores a push writes to."""

    ONLINE = 1
    OFFLINE = 2
    ONLINE_AND_OFFLINE = 3


class DataSource(Definition):
    """Where rows come from.

    It is a table (:class:`FileSource`, :class:`PostgreSQLSource` or :class:`DataFrameSource`), a :class:`PushSource` or
    a :class:`RequestSource`.
    """

    kind = "data source"


class TableSource(DataSource):
    """A table with the history of features, wherever it is. What follows can be told of all of them.

    Parameters
    ----------
    timestamp_field : str, optional
        The column with a row's event time. Without it (and without ``valid_from``) rows are visible at all times.
    created_timestamp_column : str, optional
        The column that tells which of two rows of one key and time came later.
    event_id : str, optional
        The column that tells an event from all others of its key: delivered again, it counts once in windows.
    field_mapping : dict of str to str, optional
        Columns that are called otherwise in the views: name in the table to name in the views.
    availability_delay : timedelta, optional
        How long after its event time a row becomes visible.
    valid_from, valid_to : str, optional
        The columns with the moments from which a row is valid and no longer valid.
    description : str, optional
        What it is.
    tags : dict of str to str, optional
        Labels.
    owner : str, optional
        Whom to ask.
    event_timestamp_column : str, optional
        Another name of ``timestamp_field``.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    InvalidError
        If ``timestamp_field`` and ``event_timestamp_column`` differ.
    """

    type: ClassVar[str]
    """What definition files call this kind of source."""

    timestamp_field: str
    created_timestamp_column: str
    event_id: str
    valid_from: str
    valid_to: str
    field_mapping: dict[str, str]
    availability_delay: timedelta

    def _set_table(self, name: str, given: Mapping[str, Any], feast_only: Mapping[str, tuple[object, str]]) -> None:
        """Sets the name and what all tables have, checked. ``feast_only`` is as :func:`check_feast_only` has it."""
        rest = dict(given)
        description, owner = rest.pop("description", ""), rest.pop("owner", "")
        self._set_words(name, description or "", rest.pop("tags", None), owner or "")
        event, other = rest.pop("timestamp_field", ""), rest.pop("event_timestamp_column", "")
        if event and other and event != other:
            raise InvalidError(f"{self}: timestamp_field and event_timestamp_column are two names of one setting")
        self.timestamp_field = text(self, "timestamp_field", event or other or "")
        for argument in ("created_timestamp_column", "event_id", "valid_from", "valid_to"):
            setattr(self, argument, text(self, argument, rest.pop(argument, "") or ""))
        self.field_mapping = text_map(self, "field_mapping", rest.pop("field_mapping", None))
        self.availability_delay = duration(self, "availability_delay", rest.pop("availability_delay", None))
        check_feast_only(self, rest, feast_only)

    def _place(self) -> dict[str, Any]:
        """Returns where the table is."""
        return {}

    def _content(self) -> dict[str, Any]:
        optional = {
            **self._place(),
            "timestamp_field": self.timestamp_field,
            "created_timestamp_column": self.created_timestamp_column,
            "event_id": self.event_id,
            "availability_delay": duration_text(self.availability_delay) if self.availability_delay else "",
            "valid_from": self.valid_from,
            "valid_to": self.valid_to,
            "field_mapping": dict(self.field_mapping),
        }
        return {"type": self.type, **{key: value for key, value in optional.items() if value not in ("", None, {})}}

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        given = {key: value for key, value in document.items() if key != "type"}
        if "availability_delay" in given:
            given["availability_delay"] = parse_duration(given["availability_delay"])
        return given


class FileSource(TableSource):
    """One file, a glob of files or a folder of files, Hive partitions included, or a lakehouse table.

    Parameters
    ----------
    path : str or path
        Where the files are: a path or a URL. A relative path starts at the feature repository.
    name : str, optional
        The source's name; the path by default.
    file_format : FileFormat, optional
        ``ParquetFormat()``, ``CsvFormat()``, ``JsonFormat()``, ``ArrowFormat()``, ``DeltaFormat()`` or
        ``IcebergFormat()``; told by the path's ending where it is left out.
    version : int, optional
        The version of a Delta table, or snapshot of an Iceberg table, that is read; the latest by default.
    timestamp : datetime, optional
        The moment as of which a Delta or Iceberg table is read. Without a zone it is UTC.
    **table
        What can be told of every table: see :class:`TableSource`.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    InvalidError
        If ``timestamp_field`` and ``event_timestamp_column`` differ.

    Examples
    --------
    >>> from lodestore import DeltaFormat, FileSource
    >>> FileSource(path="data/stats.parquet", timestamp_field="event_timestamp").name
    'data/stats.parquet'
    >>> FileSource(path="lake/stats", file_format=DeltaFormat(), version=3).to_document()
    {'name': 'lake/stats', 'type': 'file', 'path': 'lake/stats', 'format': 'delta', 'version': 3}
    """

    type = "file"

    def __init__(
        self,
        *,
        path: str | os.PathLike[str],
        name: str | None = "",
        file_format: FileFormat | None = None,
        version: int | None = None,
        timestamp: datetime | None = None,
        **table: Unpack[FileTable],
    ) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"file source: path must be text or a path, not {path!r}")
        self.path = os.fspath(path)
        self._set_table(name or self.path, table, _FILES_OF_FEAST)
        if file_format is not None and not isinstance(file_format, FileFormat):
            raise TypeError(f"{self}: file_format must be a format such as ParquetFormat(), not {file_format!r}")
        if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
            raise TypeError(f"{self}: version must be a whole number, not {version!r}")
        self.file_format = file_format
        self.version = version
        self.timestamp = None if timestamp is None else utc(self, "timestamp", timestamp)

    def _place(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "format": self.file_format.name if self.file_format else "",
            "version": self.version,
            "timestamp": time_text(self.timestamp) if self.timestamp else "",
        }

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        given = super()._arguments(document)
        if "format" in given:
            given["file_format"] = _FORMATS[given.pop("format")]()
        if "timestamp" in given:
            given["timestamp"] = parse_time(given["timestamp"])
        return given


class PostgreSQLSource(TableSource):
    """A table or query of a PostgreSQL database.

    Parameters
    ----------
    name : str, optional
        The source's name; the table's by default. A query needs one.
    query : str, optional
        A query whose answer is the table.
    table : str, optional
        The table, with its schema where that is not ``public``. Either a table or a query is given.
    timestamp_field : str, optional
        The column with a row's event time.
    connection : str, optional
        The database, by the name of its connection in ``feature_store.yaml``; needed where there are several.
    **more
        What can be told of every table: see :class:`TableSource`.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    InvalidError
        If neither or both of table and query are given, or a query without a name.

    Examples
    --------
    >>> from lodestore import PostgreSQLSource
    >>> PostgreSQLSource(table="rides.driver_stats", timestamp_field="at", connection="warehouse").to_document()
    ... # doctest: +NORMALIZE_WHITESPACE
    {'name': 'rides.driver_stats', 'type': 'postgres', 'connection': 'warehouse', 'table': 'rides.driver_stats',
     'timestamp_field': 'at'}
    """

    type = "postgres"

    def __init__(
        self,
        name: str | None = None,
        query: str | None = None,
        table: str | None = None,
        timestamp_field: str | None = "",
        *,
        connection: str | None = None,
        **more: Unpack[PostgresTable],
    ) -> None:
        if bool(query) == bool(table):
            raise InvalidError(f"PostgreSQL source {name or table or ''!r}: give either a table or a query")
        if not name and not table:
            raise InvalidError("PostgreSQL source of a query: it needs a name")
        self._set_table(name or table or "", {**more, "timestamp_field": timestamp_field}, _POSTGRES_OF_FEAST)
        self.query = text(self, "query", query or "")
        self.table = text(self, "table", table or "")
        self.connection = text(self, "connection", connection or "")

    def _place(self) -> dict[str, Any]:
        return {"connection": self.connection, "table": self.table, "query": self.query}


class DataFrameSource(TableSource):
    """A frame in the memory of the process, for tests and notebooks.

    Its definition is registered like any other, but its rows are not: they are what the process was given last, by
    :meth:`FeatureStore.apply` or :meth:`FeatureStore.plan`. A process that was not given them is told so when it asks
    for features. ``lodestore apply`` registers such a source of a Python file and warns that its rows can't be read;
    the schema of its views must be written out then.

    Parameters
    ----------
    name : str
        The source's name.
    df : frame, optional
        The rows: a pandas, Polars or Arrow frame, a list of dicts or a dict of lists. It is no part of the definition;
        without it the process's frame of that name stays.
    **table
        What can be told of every table: see :class:`TableSource`.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    InvalidError
        If ``timestamp_field`` and ``event_timestamp_column`` differ.

    Examples
    --------
    >>> from lodestore import DataFrameSource
    >>> heights = {"place_id": ["bern", "rome"], "height": [540, 21]}
    >>> DataFrameSource(name="heights", df=heights).to_document()
    {'name': 'heights', 'type': 'memory'}
    """

    type = "memory"

    def __init__(self, *, name: str, df: Frame | None = None, **table: Unpack[Table]) -> None:
        self._set_table(name, table, {})
        self._df = df

    @property
    def df(self) -> Frame | None:
        """The rows, where they are at hand."""
        return self._df


class PushSource(DataSource):
    """Rows that are pushed. Their history, where it is kept, is in a batch source.

    Parameters
    ----------
    name : str
        The source's name.
    batch_source : DataSource or str, optional
        The source with the history, or its name; it also tells the time columns of what is pushed.
    description : str, optional
        What it is.
    tags : dict of str to str, optional
        Labels.
    owner : str, optional
        Whom to ask.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.

    Examples
    --------
    >>> from lodestore import FileSource, PushSource
    >>> stats = FileSource(name="stats", path="stats.parquet", timestamp_field="at")
    >>> PushSource(name="stats_push", batch_source=stats).to_document()
    {'name': 'stats_push', 'type': 'push', 'batch_source': 'stats'}
    """

    def __init__(
        self,
        *,
        name: str,
        batch_source: DataSource | str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        self._set_words(name, description, tags, owner)
        if batch_source is not None and not isinstance(batch_source, (DataSource, str)):
            raise TypeError(f"{self}: batch_source must be a data source or its name, not {batch_source!r}")
        self.batch_source = batch_source

    def references(self) -> Iterable[Definition]:
        return (self.batch_source,) if isinstance(self.batch_source, DataSource) else ()

    def _content(self) -> dict[str, Any]:
        batch = {"batch_source": name_of(self.batch_source)} if self.batch_source else {}
        return {"type": "push", **batch}

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in document.items() if key != "type"}


class RequestSource(DataSource):
    """Values that a request brings along.

    Parameters
    ----------
    name : str
        The source's name.
    schema : list of Field
        The values' names and types.
    description : str, optional
        What it is.
    tags : dict of str to str, optional
        Labels.
    owner : str, optional
        Whom to ask.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.

    Examples
    --------
    >>> from lodestore import Field, RequestSource
    >>> from lodestore.types import Float64
    >>> RequestSource(name="ride", schema=[Field(name="fare", dtype=Float64)]).to_document()
    {'name': 'ride', 'type': 'request', 'schema': [{'name': 'fare', 'type': 'float64'}]}
    """

    def __init__(
        self,
        *,
        name: str,
        schema: Sequence[Field],
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        self._set_words(name, description, tags, owner)
        self.schema = fields(self, schema)

    def _content(self) -> dict[str, Any]:
        return {"type": "request", "schema": [field.to_document() for field in self.schema]}

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        given = {key: value for key, value in document.items() if key != "type"}
        return {**given, "schema": [Field.from_document(field) for field in document["schema"]]}


_TYPES: dict[str, type[DataSource]] = {
    **{table.type: table for table in (FileSource, PostgreSQLSource, DataFrameSource)},
    "push": PushSource,
    "request": RequestSource,
}


def parse_source(document: Mapping[str, Any]) -> DataSource:
    """Returns the data source, of whatever kind, of a document's part."""
    return _TYPES[document["type"]].from_document(document)


def fields(owner: Definition, schema: Sequence[Field] | None) -> list[Field]:
    """Returns the fields of a schema, checked."""
    schema = sequence(owner, "schema", schema)
    for field in schema:
        if not isinstance(field, Field):
            raise TypeError(f"{owner}: schema must be a list of Field, but has {field!r}")
    return schema


def name_of(definition: Definition | str) -> str:
    """Returns the name of a definition that is given as an object or by its name."""
    return definition if isinstance(definition, str) else definition.name
