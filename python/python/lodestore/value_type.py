"""Value types by the names that Feast's definitions use."""

from __future__ import annotations

import enum

from lodestore import types
from lodestore.errors import UnsupportedError
from lodestore.types import Array, FeatureType, Set

__all__ = ["ValueType"]


class ValueType(enum.Enum):
    """The type of an entity's values, by the names and numbers of Feast.

    Examples
    --------
    >>> from lodestore import ValueType
    >>> ValueType.INT64.feature_type()
    Int64
    """

    UNKNOWN = 0
    BYTES = 1
    STRING = 2
    INT32 = 3
    INT64 = 4
    DOUBLE = 5
    FLOAT = 6
    BOOL = 7
    UNIX_TIMESTAMP = 8
    BYTES_LIST = 11
    STRING_LIST = 12
    INT32_LIST = 13
    INT64_LIST = 14
    DOUBLE_LIST = 15
    FLOAT_LIST = 16
    BOOL_LIST = 17
    UNIX_TIMESTAMP_LIST = 18
    NULL = 19
    MAP = 20
    MAP_LIST = 21
    BYTES_SET = 22
    STRING_SET = 23
    INT32_SET = 24
    INT64_SET = 25
    DOUBLE_SET = 26
    FLOAT_SET = 27
    BOOL_SET = 28
    UNIX_TIMESTAMP_SET = 29
    PDF_BYTES = 30
    IMAGE_BYTES = 31
    JSON = 32
    JSON_LIST = 33
    STRUCT = 34
    STRUCT_LIST = 35
    UUID = 36
    TIME_UUID = 37
    UUID_LIST = 38
    TIME_UUID_LIST = 39
    UUID_SET = 40
    TIME_UUID_SET = 41
    LIST = 42
    SET = 43
    DECIMAL = 44
    DECIMAL_LIST = 45
    DECIMAL_SET = 46
    SCALAR_MAP = 47
    ZONED_TIMESTAMP = 48

    def feature_type(self) -> FeatureType:
        """Returns the feature type of this name.

        Returns
        -------
        FeatureType
            The type.

        Raises
        ------
        UnsupportedError
            If no feature type says exactly this, as for ``STRUCT``, which does not name its fields.
        """
        name, _, collection = self.name.rpartition("_")
        if collection == "LIST" and name in _SCALARS:
            return Array(_SCALARS[name])
        if collection == "SET" and name in _SCALARS:
            return Set(_SCALARS[name])
        if self.name in _SCALARS:
            return _SCALARS[self.name]
        raise UnsupportedError(f"ValueType.{self.name} stands for no type of lodestore; use one of lodestore.types")


_SCALARS = {
    "BYTES": types.Bytes,
    "STRING": types.String,
    "INT32": types.Int32,
    "INT64": types.Int64,
    "DOUBLE": types.Float64,
    "FLOAT": types.Float32,
    "BOOL": types.Bool,
    "UNIX_TIMESTAMP": types.UnixTimestamp,
    "MAP": types.Map,
    "PDF_BYTES": types.Bytes,
    "IMAGE_BYTES": types.Bytes,
    "JSON": types.Json,
    "UUID": types.Uuid,
    "TIME_UUID": types.Uuid,
    "DECIMAL": types.Decimal,
}
