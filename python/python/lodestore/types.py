"""The types of features. Each is written in a definition as it is written here.

======================================  ==============================  =================================
type                                    in definition files             value in Python
======================================  ==============================  =================================
``Bool``                                ``bool``                        ``bool``
``Int32``, ``Int64``                    ``int32``, ``int64``            ``int``
``Float32``, ``Float64``                ``float32``, ``float64``        ``float``
``String``                              ``string``                      ``str``
``Bytes``                               ``bytes``                       ``bytes``
``UnixTimestamp``, also ``Timestamp``   ``timestamp``                   ``datetime``, UTC, microseconds
``Date``                                ``date``                        ``date``
``Decimal(p, s)``                       ``decimal(p, s)``               ``decimal.Decimal``
``Json``                                ``json``                        ``str``, as it was written
``Uuid``                                ``uuid``                        ``str``
``Array(T)``                            ``list<T>``                     ``list``
``Set(T)``                              ``set<T>``                      ``list`` of distinct values
``Vector(Float32, n)``                  ``vector<float32, n>``          ``list`` of n floats
``Struct({"a": T})``                    ``struct<a: T>``                ``dict``
``Map(K, V)``                           ``map<K, V>``                   ``dict``
======================================  ==============================  =================================

``Decimal`` alone is ``Decimal(38, 9)``: 38 digits, 9 of them after the point. ``Map`` alone is ``Map(String, String)``.

Examples
--------
>>> from lodestore.types import Array, Decimal, Int64, Map, String, Struct
>>> str(Array(Struct({"id": Int64, "labels": Map})))
'list<struct<id: int64, labels: map<string, string>>>'
>>> Decimal(12, 2)
Decimal(12, 2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodestore.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Array",
    "Bool",
    "Bytes",
    "Date",
    "Decimal",
    "FeatureType",
    "Float32",
    "Float64",
    "Int32",
    "Int64",
    "Json",
    "Map",
    "Set",
    "String",
    "Struct",
    "Timestamp",
    "UnixTimestamp",
    "Uuid",
    "Vector",
    "parse_type",
]


class FeatureType:
    """The type of a feature. ``str()`` gives its text in definition files; equal texts are equal types."""

    __slots__ = ("_shown", "_text")

    def __init__(self, text: str, shown: str) -> None:
        self._text = text
        self._shown = shown

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._shown

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureType) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def _checked(part: str, dtype: object) -> FeatureType:
    if not isinstance(dtype, FeatureType):
        raise TypeError(f"{part} must be a type such as Int64 or Array(String), not {dtype!r}")
    return dtype


class Array(FeatureType):
    """A list of values of one type.

    Parameters
    ----------
    item : FeatureType
        The type of the values.
    """

    __slots__ = ("item",)

    def __init__(self, item: FeatureType) -> None:
        self.item = _checked("the item of Array", item)
        super().__init__(f"list<{item}>", f"Array({item!r})")


class Set(FeatureType):
    """Distinct values of one type, in the order in which they were given.

    Parameters
    ----------
    item : FeatureType
        The type of the values.
    """

    __slots__ = ("item",)

    def __init__(self, item: FeatureType) -> None:
        self.item = _checked("the item of Set", item)
        super().__init__(f"set<{item}>", f"Set({item!r})")


class Vector(FeatureType):
    """A vector of floats of one length: an embedding.

    Parameters
    ----------
    item : FeatureType
        ``Float32`` or ``Float64``.
    dim : int
        How many floats.
    """

    __slots__ = ("dim", "item")

    def __init__(self, item: FeatureType, dim: int) -> None:
        self.item = _checked("the item of Vector", item)
        self.dim = dim
        super().__init__(f"vector<{item}, {dim}>", f"Vector({item!r}, {dim})")


class Struct(FeatureType):
    """Named values, each of a type of its own.

    Parameters
    ----------
    fields : mapping of str to FeatureType
        The types, by name, in order.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, FeatureType]) -> None:
        self.fields = {name: _checked(f"field '{name}' of Struct", dtype) for name, dtype in fields.items()}
        text = ", ".join(f"{name}: {dtype}" for name, dtype in self.fields.items())
        super().__init__(f"struct<{text}>", f"Struct({self.fields!r})")


class _Decimal(FeatureType):
    __slots__ = ("precision", "scale")

    def __init__(self, precision: int, scale: int) -> None:
        self.precision = precision
        self.scale = scale
        super().__init__(f"decimal({precision}, {scale})", f"Decimal({precision}, {scale})")

    def __call__(self, precision: int, scale: int) -> _Decimal:
        """Returns the decimal type of ``precision`` digits, ``scale`` of them after the point."""
        return _Decimal(precision, scale)


class _Map(FeatureType):
    __slots__ = ("key", "value")

    def __init__(self, key: FeatureType, value: FeatureType) -> None:
        self.key = _checked("the key of Map", key)
        self.value = _checked("the value of Map", value)
        super().__init__(f"map<{key}, {value}>", f"Map({key!r}, {value!r})")

    def __call__(self, key: FeatureType, value: FeatureType) -> _Map:
        """Returns the type of maps from ``key`` to ``value``."""
        return _Map(key, value)


Bool = FeatureType("bool", "Bool")
Int32 = FeatureType("int32", "Int32")
Int64 = FeatureType("int64", "Int64")
Float32 = FeatureType("float32", "Float32")
Float64 = FeatureType("float64", "Float64")
String = FeatureType("string", "String")
Bytes = FeatureType("bytes", "Bytes")
UnixTimestamp = FeatureType("timestamp", "UnixTimestamp")
Timestamp = UnixTimestamp
Date = FeatureType("date", "Date")
Json = FeatureType("json", "Json")
Uuid = FeatureType("uuid", "Uuid")
Decimal = _Decimal(38, 9)
Map = _Map(String, String)

_SCALARS = {
    str(dtype): dtype
    for dtype in (Bool, Int32, Int64, Float32, Float64, String, Bytes, UnixTimestamp, Date, Json, Uuid)
}


def parse_type(text: str) -> FeatureType:
    """Returns the type of a text of the definition files.

    Parameters
    ----------
    text : str
        A type, as in ``list<int64>``.

    Returns
    -------
    FeatureType
        The type, whose ``str()`` is the text.

    Raises
    ------
    InvalidError
        If the text is no type.

    Examples
    --------
    >>> from lodestore.types import parse_type
    >>> parse_type("map<string, vector<float32, 3>>")
    Map(String, Vector(Float32, 3))
    """
    parser = _Parser(text)
    dtype = parser.feature_type()
    parser.end()
    return dtype


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def wrong(self) -> InvalidError:
        return InvalidError(f"unknown type '{self.text}'")

    def end(self) -> None:
        if self.text[self.at :].strip():
            raise self.wrong()

    def has(self, symbol: str) -> bool:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        found = self.text.startswith(symbol, self.at)
        self.at += len(symbol) if found else 0
        return found

    def eat(self, symbol: str) -> None:
        if not self.has(symbol):
            raise self.wrong()

    def word(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in "<>(),:":
            self.at += 1
        return self.text[start : self.at].strip()

    def number(self) -> int:
        try:
            return int(self.word())
        except ValueError:
            raise self.wrong() from None

    def feature_type(self) -> FeatureType:
        name = self.word()
        if name in _SCALARS:
            return _SCALARS[name]
        families: dict[str, tuple[str, Callable[[], FeatureType], str]] = {
            "decimal": ("(", self.decimal, ")"),
            "list": ("<", lambda: Array(self.feature_type()), ">"),
            "set": ("<", lambda: Set(self.feature_type()), ">"),
            "vector": ("<", self.vector, ">"),
            "struct": ("<", self.struct, ">"),
            "map": ("<", self.map, ">"),
        }
        if name not in families:
            raise self.wrong()
        opening, inner, closing = families[name]
        self.eat(opening)
        dtype = inner()
        self.eat(closing)
        return dtype

    def decimal(self) -> FeatureType:
        precision = self.number()
        self.eat(",")
        return Decimal(precision, self.number())

    def vector(self) -> FeatureType:
        item = self.feature_type()
        self.eat(",")
        return Vector(item, self.number())

    def struct(self) -> FeatureType:
        fields: dict[str, FeatureType] = {}
        while True:
            name = self.word()
            self.eat(":")
            fields[name] = self.feature_type()
            if not self.has(","):
                return Struct(fields)

    def map(self) -> FeatureType:
        key = self.feature_type()
        self.eat(",")
        return Map(key, self.feature_type())
