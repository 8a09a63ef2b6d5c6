"""Fields: the named, typed columns of feature views and request sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodestore._definition import check_feast_only, text, text_map
from lodestore.errors import InvalidError
from lodestore.types import FeatureType, parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import TypedDict, Unpack

    class FeastOnly(TypedDict, total=False):
        vector_index: bool
        vector_length: int
        vector_search_metric: str | None


__all__ = ["Field"]

_VECTOR = "give an embedding the type Vector(Float32, n)"
_FEAST_ONLY: dict[str, tuple[object, str]] = {
    "vector_index": (False, _VECTOR),
    "vector_length": (0, _VECTOR),
    "vector_search_metric": (None, _VECTOR),
}


class Field:
    """A named, typed column.

    Parameters
    ----------
    name : str
        The column's name.
    dtype : FeatureType
        The type of its values, one of :mod:`lodestore.types`.
    description : str, optional
        What it is.
    tags : dict of str to str, optional
        Labels.
    default : object, optional
        What stands for a missing value where a caller asks for defaults: a Python value of the type.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    InvalidError
        If the default can't be written down.

    Examples
    --------
    >>> from lodestore import Field
    >>> from lodestore.types import Float32
    >>> Field(name="conv_rate", dtype=Float32, default=0.0)
    Field(name='conv_rate', dtype=Float32, default=0.0)
    """

    def __init__(
        self,
        *,
        name: str,
        dtype: FeatureType,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        default: Any = None,
        **feast_only: Unpack[FeastOnly],
    ) -> None:
        self.name = text("field", "name", name)
        if not isinstance(dtype, FeatureType):
            raise TypeError(f"{self}: dtype must be a type such as Int64 or Array(String), not {dtype!r}")
        self.dtype = dtype
        self.description = text(self, "description", description)
        self.tags = text_map(self, "tags", tags)
        self.default = default
        self._default = _json_value(self, default)
        check_feast_only(self, feast_only, _FEAST_ONLY)

    def to_document(self) -> dict[str, Any]:
        """Returns the field as a document has it: a dict of JSON values.

        Returns
        -------
        dict
            The field's part of a definition file.
        """
        document: dict[str, Any] = {"name": self.name, "type": str(self.dtype)}
        if self._default is not None:
            document["default"] = self._default
        words = {"description": self.description, "tags": dict(self.tags)}
        return {**document, **{key: value for key, value in words.items() if value}}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Field:
        """Returns the field of a document's part.

        Parameters
        ----------
        document : dict
            What :meth:`to_document` gives.

        Returns
        -------
        Field
            The field.
        """
        given = {key: value for key, value in document.items() if key != "type"}
        return cls(dtype=parse_type(document["type"]), **given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and self.to_document() == other.to_document()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"field '{self.name}'"

    def __repr__(self) -> str:
        shown = {"description": self.description or None, "tags": self.tags or None, "default": self.default}
        given = "".join(f", {key}={value!r}" for key, value in shown.items() if value is not None)
        return f"Field(name={self.name!r}, dtype={self.dtype!r}{given})"


def _json_value(field: Field, value: Any) -> Any:
    """Returns a default as documents write it: times as ISO 8601 text, bytes as hexadecimal text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if value - value != 0:
            raise InvalidError(f"{field}: the default {value} can't be written as JSON")
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _json_value(field, item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_json_value(field, item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if type(value).__module__ in ("decimal", "uuid"):
        return str(value)
    raise TypeError(f"{field}: default must be a Python value of type {field.dtype}, not {value!r}")
