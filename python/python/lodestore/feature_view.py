"""Feature views: groups of features of the same entities from the same source."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lodestore._definition import (
    Definition,
    check_feast_only,
    duration,
    duration_text,
    parse_duration,
    sequence,
    text,
    text_map,
)
from lodestore.aggregation import Aggregation
from lodestore.data_source import DataSource, fields, name_of
from lodestore.entity import Entity
from lodestore.errors import NotFoundError
from lodestore.field import Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import TypedDict, Unpack

    class FeastOnly(TypedDict, total=False):
        offline: bool
        sink_source: object
        org: str
        mode: object
        enable_validation: bool
        version: str
        enabled: bool


__all__ = ["FeatureView", "FeatureViewProjection"]

_FEAST_ONLY: dict[str, tuple[object, str]] = {
    "offline": (False, "history is in the view's source; leave the argument out"),
    "sink_source": (None, "a view reads its source and writes nothing offline"),
    "org": ("", "use owner or tags"),
    "mode": (None, "a view's features are columns of its source"),
    "enable_validation": (False, "types are always checked; leave the argument out"),
    "version": ("latest", "versions are numbered by apply; refer to one as 'view@3' in a feature service"),
    "enabled": (True, "delete the view, or set online=False"),
}


class FeatureView(Definition):
    """A group of features of the same entities from the same source.

    ``view[["a", "b"]]`` is a projection to some features, for a feature service.

    Parameters
    ----------
    name : str
        The view's name.
    source : DataSource or str
        Where its rows come from: a source, or the name of one.
    schema : list of Field, optional
        Features, and fields that give the types of join keys; inferred from the source where it is left out.
    entities : list of Entity or str, optional
        The entities that its rows describe; none for a view with one row for everything.
    ttl : timedelta, optional
        How old a row may be when it answers a question; zero or None for any age.
    aggregations : list of Aggregation, optional
        What is computed over windows of the source's rows, which are then events. These are the view's features.
    inputs : list of Field, optional
        The types of the columns that the aggregations look at; inferred from the source where they are left out.
    online : bool, optional
        Whether its features are served online.
    description : str, optional
        What it is.
    tags : dict of str to str, optional
        Labels.
    owner : str, optional
        Whom to ask.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    UnsupportedError
        If an argument that only Feast has is given; it says what to use instead.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from lodestore import Entity, FeatureView, Field, FileSource
    >>> from lodestore.types import Float32
    >>> driver_stats = FeatureView(
    ...     name="driver_stats",
    ...     entities=[Entity(name="driver", join_keys=["driver_id"])],
    ...     ttl=timedelta(days=1, hours=12),
    ...     schema=[Field(name="conv_rate", dtype=Float32)],
    ...     source=FileSource(name="stats", path="stats.parquet", timestamp_field="event_timestamp"),
    ... )
    >>> driver_stats.to_document()["ttl"]
    '1d 12h'
    """

    kind = "feature view"

    def __init__(
        self,
        *,
        name: str,
        source: DataSource | str,
        schema: Sequence[Field] | None = None,
        entities: Sequence[Entity | str] | None = None,
        ttl: timedelta | None = timedelta(0),
        aggregations: Sequence[Aggregation] | None = None,
        inputs: Sequence[Field] | None = None,
        online: bool = True,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
        **feast_only: Unpack[FeastOnly],
    ) -> None:
        self._set_words(name, description, tags, owner)
        if not isinstance(source, (DataSource, str)):
            raise TypeError(f"{self}: source must be a data source or its name, not {source!r}")
        self.source = source
        self.schema = fields(self, schema)
        self.entities: list[Entity | str] = sequence(self, "entities", entities)
        for entity in self.entities:
            if not isinstance(entity, (Entity, str)):
                raise TypeError(f"{self}: entities must be a list of Entity or their names, but has {entity!r}")
        self.ttl = duration(self, "ttl", ttl)
        self.aggregations: list[Aggregation] = sequence(self, "aggregations", aggregations)
        for aggregation in self.aggregations:
            if not isinstance(aggregation, Aggregation):
                raise TypeError(f"{self}: aggregations must be a list of Aggregation, but has {aggregation!r}")
        self.inputs = fields(self, inputs)
        if not isinstance(online, bool):
            raise TypeError(f"{self}: online must be True or False, not {online!r}")
        self.online = online
        check_feast_only(self, feast_only, _FEAST_ONLY)

    def with_name(self, name: str) -> FeatureViewProjection:
        """Returns the view under another name, to use it twice in a feature service.

        Parameters
        ----------
        name : str
            What the view is called in full feature names.

        Returns
        -------
        FeatureViewProjection
            All features of the view.

        Examples
        --------
        >>> from lodestore import FeatureView
        >>> FeatureView(name="places", source="places").with_name("origin").to_document()
        {'view': 'places', 'alias': 'origin'}
        """
        return FeatureViewProjection(self).with_name(name)

    def with_join_key_map(self, join_key_map: Mapping[str, str]) -> FeatureViewProjection:
        """Returns the view joined through other columns.

        Parameters
        ----------
        join_key_map : dict of str to str
            Join key to the column of the entity frame that holds it. Join keys that are not named keep their column.

        Returns
        -------
        FeatureViewProjection
            All features of the view.

        Examples
        --------
        >>> from lodestore import FeatureView
        >>> view = FeatureView(name="places", source="places")
        >>> view.with_name("origin").with_join_key_map({"place_id": "origin_id"}).to_document()
        {'view': 'places', 'alias': 'origin', 'join_key_map': {'place_id': 'origin_id'}}
        """
        return FeatureViewProjection(self).with_join_key_map(join_key_map)

    def __getitem__(self, features: list[str]) -> FeatureViewProjection:
        return FeatureViewProjection(self)[features]

    def references(self) -> Iterable[Definition]:
        return [part for part in (*self.entities, self.source) if isinstance(part, Definition)]

    def _content(self) -> dict[str, Any]:
        optional = {
            "entities": [name_of(entity) for entity in self.entities],
            "schema": [field.to_document() for field in self.schema],
            "aggregations": [aggregation.to_document() for aggregation in self.aggregations],
            "inputs": [field.to_document() for field in self.inputs],
            "ttl": duration_text(self.ttl) if self.ttl else "",
        }
        given = {key: value for key, value in optional.items() if value}
        online = {} if self.online else {"online": False}
        return {"source": name_of(self.source), **given, **online}

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        parts = {key: [Field.from_document(part) for part in document.get(key, [])] for key in ("schema", "inputs")}
        aggregations = [Aggregation.from_document(part) for part in document.get("aggregations", [])]
        return {**document, **parts, "aggregations": aggregations, "ttl": parse_duration(document.get("ttl", ""))}


class FeatureViewProjection:
    """Some or all features of a view, perhaps under another name and for other key columns.

    Made by ``view[["a", "b"]]``, :meth:`FeatureView.with_name` and :meth:`FeatureView.with_join_key_map`, which
    may follow each other.

    Parameters
    ----------
    view : FeatureView or str
        The view, or a reference to it: ``view`` or ``view@3``.
    features : list of str, optional
        The features, in order; all where it is left out.
    alias : str, optional
        What the view is called in full feature names.
    join_key_map : dict of str to str, optional
        Join keys that have another column in the entity frame: join key to column.
    """

    def __init__(
        self,
        view: FeatureView | str,
        *,
        features: Sequence[str] | None = None,
        alias: str | None = None,
        join_key_map: Mapping[str, str] | None = None,
    ) -> None:
        self.view = view
        self.features = None if features is None else list(features)
        self.alias = alias
        self.join_key_map = text_map(self, "join_key_map", join_key_map)

    def with_name(self, name: str) -> FeatureViewProjection:
        """Returns the projection under another name.

        Parameters
        ----------
        name : str
            What the view is called in full feature names.

        Returns
        -------
        FeatureViewProjection
            A copy with that name.
        """
        return self._with(alias=text(self, "the name", name))

    def with_join_key_map(self, join_key_map: Mapping[str, str]) -> FeatureViewProjection:
        """Returns the projection joined through other columns.

        Parameters
        ----------
        join_key_map : dict of str to str
            Join key to the column of the entity frame that holds it.

        Returns
        -------
        FeatureViewProjection
            A copy with that mapping.
        """
        return self._with(join_key_map=join_key_map)

    def __getitem__(self, features: list[str]) -> FeatureViewProjection:
        if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
            raise TypeError(f"{self}: features are picked by a list of names, as in view[['a', 'b']], not {features!r}")
        known = [field.name for field in self.view.schema] if isinstance(self.view, FeatureView) else []
        for name in features:
            if known and name not in known:
                raise NotFoundError(f"{self} has no feature '{name}'; its schema: {', '.join(known)}")
        return self._with(features=features)

    def _with(self, **changes: Any) -> FeatureViewProjection:
        given = {"features": self.features, "alias": self.alias, "join_key_map": self.join_key_map, **changes}
        return FeatureViewProjection(self.view, **given)

    def to_document(self) -> dict[str, Any]:
        """Returns the projection as a document has it: a dict of JSON values.

        Returns
        -------
        dict
            The projection's part of a definition file.
        """
        document: dict[str, Any] = {"view": name_of(self.view)}
        if self.features is not None:
            document["features"] = list(self.features)
        optional = {"alias": self.alias, "join_key_map": dict(self.join_key_map)}
        return {**document, **{key: value for key, value in optional.items() if value}}

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | str) -> FeatureViewProjection:
        """Returns the projection of a document's part.

        Parameters
        ----------
        document : dict or str
            What :meth:`to_document` gives, or its short forms ``view`` and ``view:feature``.

        Returns
        -------
        FeatureViewProjection
            The projection.
        """
        if isinstance(document, str):
            view, colon, feature = document.partition(":")
            return cls(view, features=[feature] if colon else None)
        return cls(**document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureViewProjection) and self.to_document() == other.to_document()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"feature view '{name_of(self.view)}'"

    def __repr__(self) -> str:
        given = "".join(f", {key}={value!r}" for key, value in self.to_document().items() if key != "view")
        return f"FeatureViewProjection({name_of(self.view)!r}{given})"
