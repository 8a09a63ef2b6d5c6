"""Entities: the things that features describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lodestore._definition import Definition, sequence
from lodestore.types import FeatureType, parse_type
from lodestore.value_type import ValueType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Entity", "JoinKey"]


class JoinKey(NamedTuple):
    """A column that identifies an entity."""

    name: str
    dtype: FeatureType | None = None


class Entity(Definition):
    """A thing that features describe, and the columns that identify it.

    Parameters
    ----------
    name : str
        The entity's name.
    join_keys : list of str or (str, FeatureType), optional
        The columns that identify it; by default one, called as the entity. A column may have a type.
    value_type : ValueType or FeatureType, optional
        The type of the join keys that have none of their own. Where no type is given, a view's field of the
        join key's name gives it.
    description : str, optional
        What it is.
    tags : dict of str to str, optional
        Labels.
    owner : str, optional
        Whom to ask.

    Attributes
    ----------
    join_keys : list of JoinKey
        The columns, with their types.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.

    Examples
    --------
    >>> from lodestore import Entity, ValueType
    >>> from lodestore.types import Int64, String
    >>> driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    >>> driver.to_document()
    {'name': 'driver', 'join_keys': [{'name': 'driver_id', 'type': 'int64'}]}
    >>> Entity(name="trip", join_keys=[("driver_id", Int64), ("city", String)]).join_keys[1].name
    'city'
    """

    kind = "entity"

    def __init__(
        self,
        *,
        name: str,
        join_keys: Sequence[str | tuple[str, FeatureType | None]] | None = None,
        value_type: ValueType | FeatureType | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        self._set_words(name, description, tags, owner)
        dtype = _feature_type(self, value_type)
        self.join_keys = [_join_key(self, key, dtype) for key in sequence(self, "join_keys", join_keys) or [name]]

    @property
    def join_key(self) -> str:
        """The name of the first join key."""
        return self.join_keys[0].name

    def _content(self) -> dict[str, Any]:
        typed = ({"type": str(key.dtype)} if key.dtype else {} for key in self.join_keys)
        return {"join_keys": [{"name": key.name, **dtype} for key, dtype in zip(self.join_keys, typed, strict=True)]}

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        keys = [(key["name"], parse_type(key["type"]) if "type" in key else None) for key in document["join_keys"]]
        return {**document, "join_keys": keys}


def _feature_type(entity: Entity, value_type: object) -> FeatureType | None:
    if isinstance(value_type, FeatureType) or value_type is None:
        return value_type
    if not isinstance(value_type, ValueType):
        raise TypeError(f"{entity}: value_type must be a ValueType or a type such as Int64, not {value_type!r}")
    return None if value_type is ValueType.UNKNOWN else value_type.feature_type()


def _join_key(entity: Entity, key: object, dtype: FeatureType | None) -> JoinKey:
    match key:
        case str():
            return JoinKey(key, dtype)
        case (str(name), FeatureType() | None as own):
            return JoinKey(name, own or dtype)
    raise TypeError(f"{entity}: a join key must be a name or a pair of name and type, not {key!r}")
