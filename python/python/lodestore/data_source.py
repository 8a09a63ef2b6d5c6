"""Data sources: where the rows of feature views come from."""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Any

from lodestore._definition import (
    Definition,
    check_feast_only,
    duration,
    duration_text,
    parse_duration,
    sequence,
    text,
    text_map,
)
from lodestore.data_format import CsvFormat, FileFormat, JsonFormat, ParquetFormat
from lodestore.errors import InvalidError
from lodestore.field import Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from typing_extensions import TypedDict, Unpack

    class FeastOnly(TypedDict, total=False):
        s3_endpoint_override: str | None
        connection_ref: object


__all__ = ["DataSource", "FileSource", "PushMode", "PushSource", "RequestSource"]


class PushMode(enum.Enum):
    """Which stores a push writes to."""

    ONLINE = 1
    OFFLINE = 2
    ONLINE_AND_OFFLINE = 3


class DataSource(Definition):
    """Where rows come from: a :class:`FileSource`, :class:`PushSource` or :class:`RequestSource`."""

    kind = "data source"


_LOCAL = "a file source reads files of the file system"
_FEAST_ONLY: dict[str, tuple[object, str]] = {"s3_endpoint_override": (None, _LOCAL), "connection_ref": (None, _LOCAL)}
_FORMATS: dict[str, type[FileFormat]] = {form.name: form for form in (ParquetFormat, CsvFormat, JsonFormat)}


class FileSource(DataSource):
    """One file, a glob of files or a folder of files, Hive partitions included.

    Parameters
    ----------
    path : str or path
        Where the files are. A relative path starts at the feature repository.
    name : str, optional
        The source's name; the path by default.
    timestamp_field : str, optional
        The column with a row's event time. Without it (and without ``valid_from``) rows are visible at all times.
    created_timestamp_column : str, optional
        The column that tells which of two rows of one key and time came later.
    field_mapping : dict of str to str, optional
        Columns that are called otherwise in the views: name in the files to name in the views.
    file_format : FileFormat, optional
        ``ParquetFormat()``, ``CsvFormat()`` or ``JsonFormat()``; told by the path's ending where it is left out.
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

    Examples
    --------
    >>> from lodestore import FileSource
    >>> FileSource(path="data/stats.parquet", timestamp_field="event_timestamp").name
    'data/stats.parquet'
    """

    timestamp_field: str
    created_timestamp_column: str
    valid_from: str
    valid_to: str

    def __init__(
        self,
        *,
        path: str | os.PathLike[str],
        name: str | None = "",
        timestamp_field: str | None = "",
        created_timestamp_column: str | None = "",
        field_mapping: Mapping[str, str] | None = None,
        file_format: FileFormat | None = None,
        availability_delay: timedelta | None = None,
        valid_from: str | None = None,
        valid_to: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
        event_timestamp_column: str | None = "",
        **feast_only: Unpack[FeastOnly],
    ) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"file source: path must be text or a path, not {path!r}")
        self.path = os.fspath(path)
        self._set_words(name or self.path, description, tags, owner)
        if timestamp_field and event_timestamp_column and timestamp_field != event_timestamp_column:
            raise InvalidError(f"{self}: timestamp_field and event_timestamp_column are two names of one setting")
        columns = {
            "timestamp_field": timestamp_field or event_timestamp_column,
            "created_timestamp_column": created_timestamp_column,
            "valid_from": valid_from,
            "valid_to": valid_to,
        }
        for argument, column in columns.items():
            setattr(self, argument, text(self, argument, column or ""))
        if file_format is not None and not isinstance(file_format, FileFormat):
            raise TypeError(f"{self}: file_format must be a format such as ParquetFormat(), not {file_format!r}")
        self.file_format = file_format
        self.field_mapping = text_map(self, "field_mapping", field_mapping)
        self.availability_delay = duration(self, "availability_delay", availability_delay)
        check_feast_only(self, feast_only, _FEAST_ONLY)

    def _content(self) -> dict[str, Any]:
        optional = {
            "format": self.file_format.name if self.file_format else "",
            "timestamp_field": self.timestamp_field,
            "created_timestamp_column": self.created_timestamp_column,
            "availability_delay": duration_text(self.availability_delay) if self.availability_delay else "",
            "valid_from": self.valid_from,
            "valid_to": self.valid_to,
            "field_mapping": dict(self.field_mapping),
        }
        given = {key: value for key, value in optional.items() if value}
        return {"type": "file", "path": self.path, **given}

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        given = {key: value for key, value in document.items() if key not in ("type", "format")}
        if "format" in document:
            given["file_format"] = _FORMATS[document["format"]]()
        if "availability_delay" in document:
            given["availability_delay"] = parse_duration(document["availability_delay"])
        return given


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


_TYPES: dict[str, type[DataSource]] = {"file": FileSource, "push": PushSource, "request": RequestSource}


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
