"""The formats of file sources."""

from __future__ import annotations

__all__ = ["ArrowFormat", "CsvFormat", "DeltaFormat", "FileFormat", "IcebergFormat", "JsonFormat", "ParquetFormat"]


class FileFormat:
    """The format of the files of a file source."""

    name: str

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ParquetFormat(FileFormat):
    """Apache Parquet."""

    name = "parquet"


class CsvFormat(FileFormat):
    """Comma-separated values with a header line."""

    name = "csv"


class JsonFormat(FileFormat):
    """One JSON object a line."""

    name = "json"


class ArrowFormat(FileFormat):
    """Arrow IPC files, which are Feather files of version 2."""

    name = "arrow"


class DeltaFormat(FileFormat):
    """A Delta Lake table."""

    name = "delta"


class IcebergFormat(FileFormat):
    """An Apache Iceberg table."""

    name = "iceberg"
