"""What all definitions share: a kind, a name, words for people, a place in the code, equality by content."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from lodestore.errors import InvalidError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self


class Definition:
    """An object of a registry."""

    kind: ClassVar[str]
    """What the object is, in words."""

    name: str
    description: str
    tags: dict[str, str]
    owner: str
    _origin: tuple[str, int]

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        self = super().__new__(cls)
        caller = sys._getframe(1)
        self._origin = (caller.f_code.co_filename, caller.f_lineno)
        return self

    def _set_words(self, name: str, description: str, tags: Mapping[str, str] | None, owner: str) -> None:
        """Sets what every definition has, checked."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"{self.kind}: name must be text that is not empty, not {name!r}")
        self.name = name
        self.description = text(self, "description", description)
        self.tags = text_map(self, "tags", tags)
        self.owner = text(self, "owner", owner)

    def references(self) -> Iterable[Definition]:
        """Returns the definitions that this one was given as objects."""
        return ()

    def to_document(self) -> dict[str, Any]:
        """Returns the object as a document has it: a dict of JSON values.

        Returns
        -------
        dict
            The object's part of a definition file. Other objects are in it by their names.
        """
        words = {"description": self.description, "tags": dict(self.tags), "owner": self.owner}
        return {"name": self.name, **self._content(), **{key: value for key, value in words.items() if value}}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Returns the object of a document's part.

        Parameters
        ----------
        document : dict
            What :meth:`to_document` gives.

        Returns
        -------
        Definition
            The object, equal to the one that gave the document. Other objects are in it by their names.
        """
        return cls(**cls._arguments(document))

    def _content(self) -> dict[str, Any]:
        """Returns what this kind of object has beside its name and its words for people."""
        return {}

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments that make the object of a document's part."""
        return dict(document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.to_document() == other.to_document()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'"

    def __repr__(self) -> str:
        shown = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        given = (f"{key}={value!r}" for key, value in shown.items() if value is False or (value and value is not True))
        return f"{type(self).__name__}({', '.join(given)})"


def text(owner: object, argument: str, value: object) -> str:
    """Returns the value if it is text; ``owner`` is the object that a message names."""
    if not isinstance(value, str):
        raise TypeError(f"{owner}: {argument} must be text, not {value!r}")
    return value


def text_map(owner: object, argument: str, value: Mapping[str, str] | None) -> dict[str, str]:
    """Returns a copy of the mapping if all of it is text; empty for None."""
    if value is None:
        return {}
    if not hasattr(value, "items") or not all(isinstance(part, str) for item in value.items() for part in item):
        raise TypeError(f"{owner}: {argument} must be a dict of text to text, not {value!r}")
    return dict(value)


def sequence(owner: object, argument: str, value: Iterable[Any] | None) -> list[Any]:
    """Returns a list of the values; empty for None. One value alone is no sequence."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{owner}: {argument} must be a list, not {value!r}")
    return list(value)


def check_feast_only(owner: object, given: Mapping[str, Any], known: Mapping[str, tuple[object, str]]) -> None:
    """Checks arguments that only Feast gives a meaning: they may be given, but only as their default.

    ``known`` has for each such argument its default and what to do instead.
    """
    for argument, value in given.items():
        if argument not in known:
            raise TypeError(f"{owner}: unexpected keyword argument '{argument}'")
        default, cure = known[argument]
        if value != default:
            raise UnsupportedError(f"{owner}: {argument}={value!r} is not supported; {cure}")


_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}


def duration(owner: object, argument: str, value: timedelta | None) -> timedelta:
    """Returns the length of time if it is one; none at all for None."""
    if value is None:
        return timedelta(0)
    if not isinstance(value, timedelta):
        raise TypeError(f"{owner}: {argument} must be a timedelta, as in timedelta(days=1), not {value!r}")
    if value < timedelta(0):
        raise InvalidError(f"{owner}: {argument} must not be negative")
    return value


def duration_text(value: timedelta) -> str:
    """Returns a length of time as documents write it, as in ``1d 12h``."""
    parts = []
    for unit, length in _UNITS.items():
        count, value = divmod(value, length) if unit != "w" else (0, value)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def parse_duration(text: str) -> timedelta:
    """Returns the length of time that a document writes."""
    parts = re.findall(r"(\d+)\s*([a-z]+)", text)
    return sum((int(count) * _UNITS[unit] for count, unit in parts), timedelta(0))


def utc(owner: object, argument: str, value: datetime) -> datetime:
    """Returns the moment in UTC if it is one; one without a zone is UTC."""
    if not isinstance(value, datetime):
        raise TypeError(f"{owner}: {argument} must be a datetime, not {value!r}")
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def time_text(moment: datetime) -> str:
    """Returns a moment in UTC as documents write it, as in ``2024-01-31T12:00:00Z``."""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def parse_time(text: str) -> datetime:
    """Returns the moment that a document writes, in UTC."""
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
