"""The exceptions of Lodestore: one class for each thing that a caller can do about an error.

Every class is a :class:`LodestoreError`. Those for which Python has a word of its own are that too, so that
``except ValueError`` and ``except KeyError`` work as usual.

Examples
--------
>>> from lodestore.errors import LodestoreError, NotFoundError
>>> issubclass(NotFoundError, LodestoreError) and issubclass(NotFoundError, KeyError)
True
>>> print(NotFoundError("unknown feature view 'drivers'"))
unknown feature view 'drivers'
"""

from __future__ import annotations

__all__ = [
    "AlreadyExistsError",
    "ConflictError",
    "CorruptError",
    "ExhaustedError",
    "InternalError",
    "InvalidError",
    "LodestoreError",
    "NotFoundError",
    "PermissionDeniedError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
]


class LodestoreError(Exception):
    """Any error of Lodestore."""

    def __str__(self) -> str:
        # KeyError, which one subclass is too, would show the message in quotes.
        return Exception.__str__(self)


class InvalidError(LodestoreError, ValueError):
    """Correct the definition, argument, setting or data that the message names."""


class NotFoundError(LodestoreError, KeyError):
    """Check the name: nothing is registered or stored under it."""


class AlreadyExistsError(LodestoreError):
    """Choose another name: something else has this one."""


class ConflictError(LodestoreError):
    """Reload and plan again: somebody else changed the state in between."""


class UnauthenticatedError(LodestoreError):
    """Obtain credentials."""


class PermissionDeniedError(LodestoreError, PermissionError):
    """Obtain access."""


class UnsupportedError(LodestoreError):
    """Use another way: what was asked for is not possible here."""


class ExhaustedError(LodestoreError):
    """Slow down, or raise the limit that the message names."""


class UnavailableError(LodestoreError):
    """Try again later: a file, disk or service can't be reached now."""


class CorruptError(LodestoreError):
    """Repair the stored data that the message names."""


class InternalError(LodestoreError):
    """Report a bug."""
