"""The feature store: what can be done with definitions. Each method converts and calls the engine once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lodestore import _lodestore
from lodestore._definition import Definition, text_map
from lodestore._document import Definitions, document, parse_document, with_references
from lodestore._rows import is_pandas, micros, moment, rows_of
from lodestore.data_source import DataFrameSource, PushMode
from lodestore.errors import InvalidError
from lodestore.feature_service import FeatureService
from lodestore.materialization import MaterializationReport
from lodestore.online_response import OnlineResponse
from lodestore.retrieval_job import RetrievalJob
from lodestore.saved_dataset import SavedDataset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lodestore._lodestore import Rows
    from lodestore._rows import Frame
    from lodestore.data_source import DataSource
    from lodestore.entity import Entity
    from lodestore.feature_view import FeatureView
    from lodestore.saved_dataset import SavedDatasetFileStorage

__all__ = ["FeatureStore", "FeatureViewVersion", "Plan"]

#: So many rows are read by the thread that asks for them.
_AT_ONCE = 100


class Plan:
    """A change of the registry that was not made yet. ``str()`` shows it; :meth:`FeatureStore.apply` makes it."""

    def __init__(self, plan: _lodestore.Plan) -> None:
        self._plan = plan

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return self._plan.is_empty

    def to_dict(self) -> dict[str, Any]:
        """Returns the plan as JSON values.

        Returns
        -------
        dict
            ``steps``: for each its ``action``, ``object`` and what follows from it; ``blockers``; ``summary``.
        """
        return json.loads(self._plan.to_json())

    def __str__(self) -> str:
        return str(self._plan)

    def __repr__(self) -> str:
        return f"<Plan\n{self}\n>"


class FeatureViewVersion(NamedTuple):
    """A version of a feature view."""

    version: int
    """Its number."""
    hash: str
    """What its values depend on, as a SHA-256 in hexadecimal."""
    created_at: datetime
    """When it was first applied."""
    current: bool
    """Whether it is the one that ``view:feature`` means."""


class FeatureStore:
    """The features of a project: their definitions, history and present values.

    Parameters
    ----------
    repo_path : str or path, optional
        The feature repository: the folder with ``feature_store.yaml``, to which relative paths count. The folder of
        ``fs_yaml_file``, or the working directory, by default.
    fs_yaml_file : str or path, optional
        Another settings file.
    config : dict, optional
        The settings themselves, by the names of the settings file.
    now : datetime, optional
        A moment at which the store's clock stands still, for tests and for trying things on old data. Without a zone
        it is UTC. The system's clock by default.

    Raises
    ------
    NotFoundError
        If there is no settings file.
    InvalidError
        If a setting is wrong, or both ``fs_yaml_file`` and ``config`` are given.

    Examples
    --------
    >>> from lodestore import FeatureStore
    >>> FeatureStore(repo_path).project
    'demo'
    """

    def __init__(
        self,
        repo_path: str | os.PathLike[str] | None = None,
        *,
        fs_yaml_file: str | os.PathLike[str] | None = None,
        config: Mapping[str, Any] | None = None,
        now: datetime | None = None,
    ) -> None:
        if config is not None and not isinstance(config, Mapping):
            raise TypeError(f"config must be a dict of settings, as in feature_store.yaml, not {config!r}")
        folder = None if repo_path is None else os.fspath(repo_path)
        file = None if fs_yaml_file is None else os.fspath(fs_yaml_file)
        settings = None if config is None else json.dumps(config)
        self._store = _lodestore.FeatureStore.open(folder, file, settings, None if now is None else micros("now", now))

    @property
    def project(self) -> str:
        """The name of the project."""
        return self._store.project

    def __repr__(self) -> str:
        return f"<FeatureStore of project '{self.project}'>"

    # Definitions

    def plan(
        self,
        objects: Definition | Sequence[Definition] | None = None,
        objects_to_delete: Definition | Sequence[Definition] | None = None,
        *,
        force: bool = False,
    ) -> Plan:
        """Returns what :meth:`apply` would change.

        Parameters
        ----------
        objects : definition or list of definitions, optional
            Objects to add or replace; those that they were given as objects come along. By default the definition
            files of the repository, Python and YAML, which are then the whole project. The frame of a
            :class:`DataFrameSource` is kept from here on, in place of the one before.
        objects_to_delete : definition or list of definitions, optional
            Objects to remove.
        force : bool, optional
            Whether the change may drop what a feature service pins.

        Returns
        -------
        Plan
            The change, which is not made yet.

        Raises
        ------
        InvalidError
            If the definitions do not fit together.

        Examples
        --------
        >>> from lodestore import Entity
        >>> store.plan(Entity(name="place", join_keys=["place_id"])).is_empty
        False
        """
        listed = None if objects is None else _listed(objects)
        self._keep_frames(listed or [])
        text = None if listed is None else document(listed)
        delete = [(one.kind, one.name) for one in _listed(objects_to_delete or [])]
        return Plan(self._store.plan(text, delete, force))

    def apply(
        self,
        objects: Plan | Definition | Sequence[Definition] | None = None,
        objects_to_delete: Definition | Sequence[Definition] | None = None,
        partial: bool = True,
        *,
        force: bool = False,
    ) -> Plan:
        """Changes the registry, wholly or not at all.

        Parameters
        ----------
        objects : Plan, definition or list of definitions, optional
            A plan that was looked at, or what :meth:`plan` takes.
        objects_to_delete : definition or list of definitions, optional
            Objects to remove. Needs ``partial=False``.
        partial : bool, optional
            Whether to leave everything else as it is.
        force : bool, optional
            Whether the change may drop what a feature service pins. A plan was made with or without it.

        Returns
        -------
        Plan
            What was changed.

        Raises
        ------
        InvalidError
            If the definitions do not fit together, or the change must be forced.
        ConflictError
            If somebody else changed the registry since the plan was made.

        Examples
        --------
        >>> from lodestore import Entity
        >>> rider = Entity(name="rider", join_keys=["rider_id"])
        >>> _ = store.apply([rider])
        >>> store.get_entity("rider") == rider
        True
        """
        if objects_to_delete and partial:
            raise InvalidError("objects_to_delete needs partial=False: with partial=True nothing is removed")
        plan = objects if isinstance(objects, Plan) else self.plan(objects, objects_to_delete, force=force)
        self._store.apply(plan._plan)
        return plan

    def teardown(self) -> None:
        """Removes the project's definitions and its online rows. Its sources and saved datasets stay."""
        self._store.teardown()

    def refresh_registry(self) -> None:
        """Loads the registry's present state, as another process may have changed it."""
        self._store.refresh()

    def list_entities(self) -> list[Entity]:
        """Returns all entities, by name.

        Returns
        -------
        list of Entity
            The entities as they were last applied.
        """
        return list(self._definitions().entities.values())

    def list_data_sources(self) -> list[DataSource]:
        """Returns all data sources, by name.

        Returns
        -------
        list of DataSource
            The sources as they were last applied.
        """
        return list(self._definitions().data_sources.values())

    def list_feature_views(self) -> list[FeatureView]:
        """Returns all feature views, by name.

        Returns
        -------
        list of FeatureView
            The views as they were last applied.
        """
        return list(self._definitions().feature_views.values())

    def list_feature_services(self) -> list[FeatureService]:
        """Returns all feature services, by name.

        Returns
        -------
        list of FeatureService
            The services as they were last applied.
        """
        return list(self._definitions().feature_services.values())

    def get_entity(self, name: str) -> Entity:
        """Returns an entity.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Entity
            The entity as it was last applied.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        """
        return self._definition("entity", name).entities[name]

    def get_data_source(self, name: str) -> DataSource:
        """Returns a data source.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        DataSource
            The source as it was last applied.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        """
        return self._definition("data source", name).data_sources[name]

    def get_feature_view(self, name: str) -> FeatureView:
        """Returns a feature view.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        FeatureView
            The view as it was last applied.

        Raises
        ------
        NotFoundError
            If there is none of that name.

        Examples
        --------
        >>> [field.name for field in store.get_feature_view("driver_stats").schema]
        ['trips', 'conv_rate']
        """
        return self._definition("feature view", name).feature_views[name]

    def get_feature_service(self, name: str) -> FeatureService:
        """Returns a feature service.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        FeatureService
            The service as it was last applied.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        """
        return self._definition("feature service", name).feature_services[name]

    def delete_feature_view(self, name: str, *, force: bool = False) -> None:
        """Deletes a feature view, with all versions and their online rows.

        Parameters
        ----------
        name : str
            Its name.
        force : bool, optional
            Whether to delete it even if a feature service pins it.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        InvalidError
            If it must be forced.
        """
        self._delete("feature view", name, force)

    def delete_feature_service(self, name: str, *, force: bool = False) -> None:
        """Deletes a feature service.

        Parameters
        ----------
        name : str
            Its name.
        force : bool, optional
            Whether to make a change that must be forced.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        """
        self._delete("feature service", name, force)

    def list_feature_view_versions(self, name: str) -> list[FeatureViewVersion]:
        """Returns the versions of a feature view, the oldest first.

        Parameters
        ----------
        name : str
            The view's name.

        Returns
        -------
        list of FeatureViewVersion
            The versions that can still be asked for.

        Raises
        ------
        NotFoundError
            If there is no such view.

        Examples
        --------
        >>> [version.version for version in store.list_feature_view_versions("driver_stats")]
        [1]
        """
        versions = json.loads(self._store.feature_view_versions(name))
        return [FeatureViewVersion(created_at=moment(one.pop("created_at_us")), **one) for one in versions]

    # Training

    def get_historical_features(
        self,
        entity_df: Frame | str | os.PathLike[str] | None = None,
        features: Sequence[str] | FeatureService = (),
        full_feature_names: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        as_known: bool = False,
        use_defaults: bool = False,
        *,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Returns features as they were at the times of the questions.

        Parameters
        ----------
        entity_df : frame, path or SQL, optional
            The questions, with the key columns and a time column: ``event_timestamp``, or the only timestamp there is.
            Other columns stay as they are. They are a pandas, Polars or Arrow frame, a list of dicts or a dict of
            lists; or a Parquet or CSV file, by a path or by text that ends in ``.parquet``, ``.pq`` or ``.csv``, where
            a relative path starts at the feature repository; or, as any other text, what an SQL query answers. In SQL
            each applied data source with history is a table of its name; a name with dots, slashes or capitals stands
            in double quotes.
        features : list of str, or FeatureService
            The features, as ``view:feature`` or ``view@version:feature``; or the applied service of that name.
        full_feature_names : bool, optional
            Whether the features are called ``view__feature``.
        start_date, end_date : datetime, optional
            Without an entity frame: every row of the views in (start, end] is a question. Without a zone they are UTC.
        as_known : bool, optional
            Whether only rows count that were recorded by the question's time.
        use_defaults : bool, optional
            Whether a feature's default stands for a missing value.
        filter_by_created_timestamp : bool, optional
            Another name of ``as_known``.

        Returns
        -------
        RetrievalJob
            The answer, which is computed when it is asked for: one row for each question, in the order asked.

        Raises
        ------
        NotFoundError
            If a view, feature or service is not known, and it names near ones; or if there is no such file.
        InvalidError
            If a key or time column is missing or of a wrong type, the SQL is no query of the sources, or both
            ``entity_df`` and dates are given.

        Examples
        --------
        >>> from datetime import datetime
        >>> questions = {"driver_id": [1001, 1002], "event_timestamp": [datetime(2024, 1, 1, 12)] * 2}
        >>> job = store.get_historical_features(questions, features=["driver_stats:trips"])
        >>> job.to_arrow()["trips"].to_pylist()
        [12, 7]
        >>> sql = "SELECT DISTINCT driver_id, TIMESTAMP '2024-01-01 12:00:00' AS event_timestamp"
        >>> sql = f"{sql} FROM driver_stats_source ORDER BY driver_id"
        >>> job = store.get_historical_features(sql, features=["driver_stats:trips"])
        >>> job.to_arrow()["trips"].to_pylist()
        [12, 7]
        """
        start = None if start_date is None else micros("start_date", start_date)
        end = None if end_date is None else micros("end_date", end_date)
        known = as_known or filter_by_created_timestamp
        questions = None if entity_df is None else _questions(entity_df)
        job = self._store.historical_features(
            questions, _asked(features), full_feature_names, start, end, known, use_defaults
        )
        return RetrievalJob(job, entity_df if is_pandas(entity_df) else None)

    def create_saved_dataset(
        self,
        from_: RetrievalJob,
        name: str,
        storage: SavedDatasetFileStorage | str | os.PathLike[str],
        tags: Mapping[str, str] | None = None,
        *,
        allow_overwrite: bool = False,
    ) -> SavedDataset:
        """Writes a training set down, with what made it.

        Parameters
        ----------
        from_ : RetrievalJob
            The training set.
        name : str
            What it is called.
        storage : SavedDatasetFileStorage, str or path
            The Parquet file. A relative path starts at the feature repository.
        tags : dict of str to str, optional
            Labels.
        allow_overwrite : bool, optional
            Whether to replace a dataset of that name, and the file.

        Returns
        -------
        SavedDataset
            The dataset.

        Raises
        ------
        AlreadyExistsError
            If there is such a dataset or file, and it may not be replaced.
        """
        labels = text_map(f"saved dataset '{name}'", "tags", tags)
        recorded = self._store.create_saved_dataset(from_._rows, name, os.fspath(storage), labels, allow_overwrite)
        return SavedDataset(self._store, recorded)

    def get_saved_dataset(self, name: str) -> SavedDataset:
        """Returns a saved dataset.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        SavedDataset
            The dataset, whose rows are read when they are asked for.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        """
        return SavedDataset(self._store, self._store.saved_dataset(name))

    def list_saved_datasets(self) -> list[SavedDataset]:
        """Returns all saved datasets, by name.

        Returns
        -------
        list of SavedDataset
            The datasets.
        """
        return [SavedDataset(self._store, json.dumps(one)) for one in json.loads(self._store.saved_datasets())]

    # Serving

    def materialize(
        self,
        start_date: datetime,
        end_date: datetime,
        feature_views: Sequence[str] | None = None,
        *,
        progress: bool | None = None,
    ) -> MaterializationReport:
        """Writes rows of an interval to the online store. It may be repeated, in any order.

        Parameters
        ----------
        start_date, end_date : datetime
            Rows with an event time in (start, end] are taken. Without a zone they are UTC.
        feature_views : list of str, optional
            The views; by default all that are online.
        progress : bool, optional
            Whether to show progress on standard error; by default if that is a terminal.

        Returns
        -------
        MaterializationReport
            How many rows of each view were read, written, skipped and refused.

        Raises
        ------
        InvalidError
            If the end is before the start or in the future, or too many rows are refused.
        NotFoundError
            If there is no such view.

        Examples
        --------
        >>> from datetime import datetime
        >>> report = store.materialize(datetime(2024, 1, 1), datetime(2024, 1, 2), ["driver_stats"])
        >>> report.views[0].rows_read
        3
        """
        start, end = micros("start_date", start_date), micros("end_date", end_date)
        return MaterializationReport.parse(self._store.materialize(start, end, _views(feature_views), progress))

    def materialize_incremental(
        self,
        end_date: datetime,
        feature_views: Sequence[str] | None = None,
        *,
        progress: bool | None = None,
    ) -> MaterializationReport:
        """Writes what has arrived since the last materialisation to the online store.

        Parameters
        ----------
        end_date : datetime
            Rows with an event time up to this one are taken. Without a zone it is UTC.
        feature_views : list of str, optional
            The views; by default all that are online.
        progress : bool, optional
            Whether to show progress on standard error; by default if that is a terminal.

        Returns
        -------
        MaterializationReport
            How many rows of each view were read, written, skipped and refused.

        Raises
        ------
        InvalidError
            If the end is in the future.
        NotFoundError
            If there is no such view.
        """
        end = micros("end_date", end_date)
        return MaterializationReport.parse(self._store.materialize_incremental(end, _views(feature_views), progress))

    def get_online_features(
        self,
        features: Sequence[str] | FeatureService,
        entity_rows: Frame,
        full_feature_names: bool = False,
        use_defaults: bool = False,
    ) -> OnlineResponse:
        """Returns the present features of keys.

        Parameters
        ----------
        features : list of str, or FeatureService
            The features, as ``view:feature`` or ``view@version:feature``; or the applied service of that name.
        entity_rows : list of dict, dict of lists, or frame
            The keys.
        full_feature_names : bool, optional
            Whether the features are called ``view__feature``.
        use_defaults : bool, optional
            Whether a feature's default stands for a missing value; its status still says what was missing.

        Returns
        -------
        OnlineResponse
            The values and statuses; row i answers row i of ``entity_rows``.

        Raises
        ------
        NotFoundError
            If a view, feature or service is not known; it names near ones.
        InvalidError
            If a key column is missing or of a wrong type.

        Examples
        --------
        >>> answer = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1001}])
        >>> answer.to_dict()
        {'driver_id': [1001], 'trips': [12]}
        """
        rows = entity_rows if type(entity_rows) in (list, dict) else rows_of("entity_rows", entity_rows)
        return OnlineResponse(self._store.online_features(_asked(features), rows, full_feature_names, use_defaults))

    async def get_online_features_async(
        self,
        features: Sequence[str] | FeatureService,
        entity_rows: Frame,
        full_feature_names: bool = False,
        use_defaults: bool = False,
    ) -> OnlineResponse:
        """Returns the present features of keys, as :meth:`get_online_features` does, without holding up the event loop.

        A few rows of the embedded store are there sooner than a thread would be: they are read at once.

        Parameters
        ----------
        features : list of str, or FeatureService
            As for :meth:`get_online_features`.
        entity_rows : list of dict, dict of lists, or frame
            The keys.
        full_feature_names : bool, optional
            Whether the features are called ``view__feature``.
        use_defaults : bool, optional
            Whether a feature's default stands for a missing value.

        Returns
        -------
        OnlineResponse
            The values and statuses; row i answers row i of ``entity_rows``.

        Raises
        ------
        NotFoundError
            If a view, feature or service is not known; it names near ones.
        InvalidError
            If a key column is missing or of a wrong type.

        Examples
        --------
        >>> import asyncio
        >>> answer = asyncio.run(store.get_online_features_async(["driver_stats:trips"], [{"driver_id": 1001}]))
        >>> answer.to_dict()
        {'driver_id': [1001], 'trips': [12]}
        """
        if isinstance(entity_rows, list) and len(entity_rows) <= _AT_ONCE:
            return self.get_online_features(features, entity_rows, full_feature_names, use_defaults)
        import asyncio

        read = self.get_online_features
        return await asyncio.to_thread(read, features, entity_rows, full_feature_names, use_defaults)

    def push(self, push_source_name: str, df: Frame, to: PushMode = PushMode.ONLINE) -> None:
        """Writes rows to all views of a push source.

        Parameters
        ----------
        push_source_name : str
            The push source.
        df : frame
            The rows: keys, times and features.
        to : PushMode, optional
            Which stores are written to.

        Raises
        ------
        NotFoundError
            If there is no such push source.
        InvalidError
            If a column is missing or of a wrong type.
        """
        if not isinstance(to, PushMode):
            raise TypeError(f"to must be a PushMode, as in PushMode.ONLINE, not {to!r}")
        self._store.push(push_source_name, rows_of("df", df), to.name.lower())

    def write_to_online_store(self, feature_view_name: str, df: Frame) -> None:
        """Writes rows of a view to the online store.

        Parameters
        ----------
        feature_view_name : str
            The view.
        df : frame
            The rows: keys, times, and all or some features.

        Raises
        ------
        NotFoundError
            If there is no such view.
        InvalidError
            If a column is missing or of a wrong type.
        """
        self._store.write_online(feature_view_name, rows_of("df", df))

    def delete_from_online_store(self, feature_view_name: str, entity_rows: Frame) -> None:
        """Deletes keys from the online store. Rows of them that arrive later with an older event time stay out.

        Parameters
        ----------
        feature_view_name : str
            The view.
        entity_rows : list of dict, dict of lists, or frame
            The keys.

        Raises
        ------
        NotFoundError
            If there is no such view.
        InvalidError
            If a key column is missing or of a wrong type.
        """
        self._store.delete_online(feature_view_name, rows_of("entity_rows", entity_rows))

    def _keep_frames(self, objects: Sequence[Definition]) -> None:
        for one in with_references(objects):
            if isinstance(one, DataFrameSource) and one.df is not None:
                self._store.keep_frame(one.name, rows_of(f"{one}: df", one.df))

    def _definitions(self) -> Definitions:
        return parse_document(self._store.definitions())

    def _definition(self, kind: str, name: str) -> Definitions:
        return parse_document(self._store.definition(kind, name))

    def _delete(self, kind: str, name: str, force: bool) -> None:
        self._store.apply(self._store.plan(document([]), [(kind, name)], force))


def _listed(objects: Definition | Sequence[Definition]) -> list[Definition]:
    return [objects] if isinstance(objects, Definition) else list(objects)


def _questions(entity_df: Frame | str | os.PathLike[str]) -> Rows | str | Path:
    """Returns questions as the engine takes them, where text is SQL."""
    if isinstance(entity_df, os.PathLike):
        return Path(entity_df)
    if isinstance(entity_df, str):
        is_file = entity_df.lower().endswith((".parquet", ".pq", ".csv"))
        return Path(entity_df) if is_file else entity_df
    return rows_of("entity_df", entity_df)


def _asked(features: Sequence[str] | FeatureService) -> tuple[str, ...] | str:
    if isinstance(features, FeatureService):
        return features.name
    if not isinstance(features, (list, tuple)):
        raise TypeError(f"features must be a list of text 'view:feature' or a FeatureService, not {features!r}")
    return tuple(features)


def _views(names: Sequence[str] | None) -> list[str] | None:
    if isinstance(names, str):
        raise TypeError(f"feature_views must be a list of names, not {names!r}")
    return None if names is None else list(names)
