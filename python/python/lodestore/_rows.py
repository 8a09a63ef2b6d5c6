"""Rows on their way in and out: frames of all kinds, without importing any library that the caller did not."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

from lodestore.errors import InvalidError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from lodestore._lodestore import ArrowArray, ArrowStream, Rows

Frame: TypeAlias = "pandas.DataFrame | ArrowStream | ArrowArray | Sequence[Mapping[str, Any]] | Mapping[str, Any]"
"""What has rows: a pandas or Polars frame, anything of the Arrow PyCapsule interface (pyarrow, DuckDB and others), a
list of dicts, or a dict of lists."""

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def optional(module: str, extra: str) -> Any:
    """Returns a module that is no dependency.

    Raises
    ------
    ImportError
        If it can't be imported; it says what to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"this needs {module}: pip install 'lodestore[{extra}]'") from error


def micros(argument: str, moment: datetime) -> int:
    """Returns a moment as UTC microseconds; one without a zone is UTC."""
    if not isinstance(moment, datetime):
        raise TypeError(f"{argument} must be a datetime, not {moment!r}")
    aware = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
    return (aware - EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """Returns UTC microseconds as a moment."""
    return EPOCH + timedelta(microseconds=micros)


def is_pandas(data: object) -> TypeGuard[pandas.DataFrame]:
    """Returns whether this is a pandas frame; pandas is not imported for it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def rows_of(argument: str, data: Frame) -> Rows:
    """Returns rows as the engine takes them.

    Raises
    ------
    TypeError
        For what has no rows.
    InvalidError
        For rows without the same columns, columns of different lengths, or what Arrow has no type for.
    """
    if isinstance(data, (list, tuple)):
        return _transposed(argument, data)
    if isinstance(data, Mapping):
        return _columns(argument, data)
    if is_pandas(data):
        return _from_pandas(argument, data)
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return cast("Rows", data)
    kinds = "a pandas, Polars or Arrow frame, a list of dicts or a dict of lists"
    raise TypeError(f"{argument} must be {kinds}, not {type(data).__name__}")


def _columns(argument: str, data: Mapping[str, Any]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {}
    for name, values in data.items():
        if hasattr(values, "tolist"):
            values = values.tolist()
        if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
            raise InvalidError(f"{argument}: column '{name}' must be a list, not {values!r}")
        columns[name] = values if isinstance(values, list) else list(values)
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"'{name}' has {len(values)}" for name, values in columns.items())
        raise InvalidError(f"{argument}: all columns must have the same number of values, but {lengths}")
    return columns


def _transposed(argument: str, data: Sequence[Any]) -> dict[str, list[object]]:
    names = data[0] if data else {}
    try:
        columns = {name: [row[name] for row in data] for name in names}
    except (KeyError, TypeError):
        columns = None
    if columns is not None and set(map(len, data)) <= {len(names)}:
        return columns
    # Something is wrong with a row: find it.
    for place, row in enumerate(data):
        if not isinstance(row, Mapping):
            raise TypeError(f"{argument}: row {place} must be a dict, not {row!r}")
        if row.keys() != names.keys():
            raise InvalidError(f"{argument}: row {place} has columns {sorted(row)}, but row 0 has {sorted(names)}")
    raise InvalidError(f"{argument}: the rows can't be read")


def _from_pandas(argument: str, frame: Any) -> Rows:
    pyarrow = optional("pyarrow", "pandas")
    try:
        # Through pyarrow rather than the frame's own capsule, which would make columns of the index.
        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        raise InvalidError(f"{argument}: {'; '.join(map(str, error.args))}") from error
    return table.replace_schema_metadata()


class ArrowRows:
    """Rows of the engine in the forms that callers want."""

    _rows: Any

    def _collected(self) -> ArrowStream:
        """Returns all rows at once; Ctrl-C is heard until they are there."""
        return self._rows

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._rows.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self._rows.__arrow_c_schema__()

    def to_arrow(self) -> pyarrow.Table:
        """Returns the rows as an Arrow table.

        Returns
        -------
        pyarrow.Table
            The rows.

        Raises
        ------
        ImportError
            If pyarrow is not installed.
        """
        # Not `pyarrow.table`, which imports pandas to see whether it was given a frame.
        return optional("pyarrow", "arrow").RecordBatchReader.from_stream(self._collected()).read_all()

    def to_df(self) -> pandas.DataFrame:
        """Returns the rows as a pandas frame.

        A column's dtype follows from its type alone, never from whether values are missing: integers and booleans are
        pandas' nullable ones, floats are numpy's (in which null and NaN are the same; :meth:`to_arrow` tells them
        apart), timestamps are ``datetime64[us, UTC]``, text is pandas' text, everything else Python objects.

        Returns
        -------
        pandas.DataFrame
            The rows.

        Raises
        ------
        ImportError
            If pandas or pyarrow is not installed.
        """
        return to_pandas(self._collected())

    def to_polars(self) -> polars.DataFrame:
        """Returns the rows as a Polars frame.

        Returns
        -------
        polars.DataFrame
            The rows.

        Raises
        ------
        ImportError
            If Polars is not installed.
        """
        return optional("polars", "polars").DataFrame(self._collected())


def to_pandas(rows: ArrowStream, only: Sequence[str] | None = None) -> pandas.DataFrame:
    """Returns rows, or some of their columns, as a pandas frame; dtypes as :meth:`ArrowRows.to_df` tells."""
    pandas, pyarrow = optional("pandas", "pandas"), optional("pyarrow", "pandas")
    table = pyarrow.table(rows)
    table = table if only is None else table.select(only)
    dtypes = _dtypes(pandas, pyarrow)
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pyarrow.types.is_nested(column.type) and not pyarrow.types.is_fixed_size_list(column.type):
            # pyarrow would make floats of a list of integers with a null in it.
            values = column.to_pylist(maps_as_pydicts="strict")
            columns[name] = pandas.Series(values, dtype=object)
        else:
            columns[name] = column.to_pandas(types_mapper=dtypes.get)
    return pandas.DataFrame(columns, index=pandas.RangeIndex(table.num_rows), copy=False)


def _dtypes(pandas: Any, pyarrow: Any) -> dict[Any, Any]:
    """Returns the pandas dtypes of Arrow types where pyarrow's own choice would depend on the values."""
    integers = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
    dtypes = {getattr(pyarrow, name.lower())(): getattr(pandas, f"{name}Dtype")() for name in integers}
    dtypes[pyarrow.bool_()] = pandas.BooleanDtype()
    text = pandas.Series(dtype="str").dtype
    if isinstance(text, pandas.StringDtype):
        dtypes |= dict.fromkeys((pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()), text)
    return dtypes
