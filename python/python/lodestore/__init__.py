"""A feature store: point-in-time correct training sets and online features from one definition.

Definitions are plain Python objects (:class:`Entity`, :class:`FileSource`, :class:`FeatureView`,
:class:`FeatureService`); :class:`FeatureStore` does everything with them. The names and arguments are those that
users of Feast know.

Examples
--------
>>> from lodestore import Entity, FeatureView, Field, FileSource
>>> from lodestore.types import Float32, Int64
>>> driver = Entity(name="driver", join_keys=[("driver_id", Int64)])
>>> driver_stats = FeatureView(
...     name="driver_stats",
...     entities=[driver],
...     schema=[Field(name="conv_rate", dtype=Float32)],
...     source=FileSource(path="driver_stats.parquet", timestamp_field="event_timestamp"),
... )
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lodestore.aggregation import Aggregation
from lodestore.data_format import ArrowFormat, CsvFormat, DeltaFormat, IcebergFormat, JsonFormat, ParquetFormat
from lodestore.data_source import (
    DataFrameSource,
    DataSource,
    FileSource,
    PostgreSQLSource,
    PushMode,
    PushSource,
    RequestSource,
)
from lodestore.entity import Entity
from lodestore.feature_service import FeatureService
from lodestore.feature_view import FeatureView, FeatureViewProjection
from lodestore.field import Field
from lodestore.value_type import ValueType

if TYPE_CHECKING:
    from lodestore._lodestore import __version__
    from lodestore.feature_store import FeatureStore, Plan
    from lodestore.materialization import MaterializationReport
    from lodestore.online_response import OnlineResponse
    from lodestore.retrieval_job import RetrievalJob
    from lodestore.saved_dataset import SavedDataset, SavedDatasetFileStorage

__all__ = [
    "Aggregation",
    "ArrowFormat",
    "CsvFormat",
    "DataFrameSource",
    "DataSource",
    "DeltaFormat",
    "Entity",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "FeatureViewProjection",
    "Field",
    "FileSource",
    "IcebergFormat",
    "JsonFormat",
    "MaterializationReport",
    "OnlineResponse",
    "ParquetFormat",
    "Plan",
    "PostgreSQLSource",
    "PushMode",
    "PushSource",
    "RequestSource",
    "RetrievalJob",
    "SavedDataset",
    "SavedDatasetFileStorage",
    "ValueType",
    "__version__",
]

# What needs the engine is imported when it is first asked for: definitions must import fast.
_LAZY = {
    "FeatureStore": "feature_store",
    "Plan": "feature_store",
    "MaterializationReport": "materialization",
    "OnlineResponse": "online_response",
    "RetrievalJob": "retrieval_job",
    "SavedDataset": "saved_dataset",
    "SavedDatasetFileStorage": "saved_dataset",
    "__version__": "_lodestore",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'lodestore' has no attribute '{name}'")
    import importlib

    value = getattr(importlib.import_module(f"lodestore.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
