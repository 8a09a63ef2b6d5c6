"""Saved datasets: training sets that were written down, and what made them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from lodestore._rows import ArrowRows, moment

if TYPE_CHECKING:
    from lodestore import _lodestore

__all__ = ["SavedDataset", "SavedDatasetFileStorage"]


class SavedDatasetFileStorage:
    """A Parquet file for a saved dataset.

    Parameters
    ----------
    path : str or path
        The file. A relative path starts at the feature repository.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"SavedDatasetFileStorage({self.path!r})"


class SavedDataset(ArrowRows):
    """A training set that was written down.

    It implements the Arrow PyCapsule interface, as the frames of most libraries do.

    Attributes
    ----------
    name : str
        Its name.
    path : str
        Where its Parquet file is.
    created_at : datetime
        When it was made.
    num_rows : int
        How many rows it has.
    features : list of str
        The features, as ``view@version:feature``, in order.
    plan : str
        The plan that made it.
    fingerprints : list of str
        What the sources' files were: for each source a line that changes when a file does.
    tags : dict of str to str
        Labels.
    """

    def __init__(self, store: _lodestore.FeatureStore, recorded: str) -> None:
        record = json.loads(recorded)
        self.name: str = record["name"]
        self.path: str = record["path"]
        self.created_at = moment(record["created_at_us"])
        self.num_rows: int = record["rows"]
        self.features: list[str] = record["features"]
        self.plan: str = record["plan"]
        self.fingerprints: list[str] = record["fingerprints"]
        self.tags: dict[str, str] = record["tags"]
        self._store = store

    @property
    def _rows(self) -> _lodestore.ArrowTable:
        return self._store.read_saved_dataset(self.name)

    def __repr__(self) -> str:
        return f"SavedDataset(name={self.name!r}, path={self.path!r}, num_rows={self.num_rows})"
