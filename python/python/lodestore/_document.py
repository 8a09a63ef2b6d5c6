"""Documents: the text form of definitions, which the engine reads and writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from lodestore._definition import Definition
from lodestore.data_source import DataSource, PushSource, parse_source
from lodestore.entity import Entity
from lodestore.errors import AlreadyExistsError
from lodestore.feature_service import FeatureService
from lodestore.feature_view import FeatureView

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1


class Definitions(NamedTuple):
    """The definitions of a document, by name; where one names another, it has it as an object."""

    entities: dict[str, Entity]
    data_sources: dict[str, DataSource]
    feature_views: dict[str, FeatureView]
    feature_services: dict[str, FeatureService]


_KINDS: dict[str, type[Definition]] = {
    "entities": Entity,
    "data_sources": DataSource,
    "feature_views": FeatureView,
    "feature_services": FeatureService,
}


def document(objects: Iterable[object]) -> str:
    """Returns the JSON document of definitions and of all that they were given as objects.

    Raises
    ------
    TypeError
        For an object that is no definition.
    AlreadyExistsError
        For two different objects of one kind and name; it names where both were made.
    """
    found = with_references(objects)
    sections = {
        section: [definition.to_document() for definition in found if isinstance(definition, kind)]
        for section, kind in _KINDS.items()
    }
    return json.dumps({"version": VERSION, **{section: items for section, items in sections.items() if items}})


def with_references(objects: Iterable[object]) -> list[Definition]:
    """Returns definitions and all that they were given as objects, each once. Raises as :func:`document`."""
    found: dict[tuple[str, str], Definition] = {}
    waiting = list(reversed(list(objects)))
    while waiting:
        definition = waiting.pop()
        if not isinstance(definition, Definition):
            raise TypeError(f"expected entities, data sources, feature views or feature services, not {definition!r}")
        first = found.setdefault((definition.kind, definition.name), definition)
        if first is definition:
            waiting.extend(reversed(list(definition.references())))
        elif first != definition:
            places = " and ".join(":".join(map(str, one._origin)) for one in (first, definition))
            raise AlreadyExistsError(f"{definition} is defined twice, differently: {places}")
    return list(found.values())


def parse_document(text: str) -> Definitions:
    """Returns the definitions of a JSON document."""
    sections = json.loads(text)
    entities = {one["name"]: Entity.from_document(one) for one in sections.get("entities", [])}
    sources = {one["name"]: parse_source(one) for one in sections.get("data_sources", [])}
    views = {one["name"]: FeatureView.from_document(one) for one in sections.get("feature_views", [])}
    services = {one["name"]: FeatureService.from_document(one) for one in sections.get("feature_services", [])}
    for source in sources.values():
        if isinstance(source, PushSource) and isinstance(source.batch_source, str):
            source.batch_source = sources.get(source.batch_source, source.batch_source)
    for view in views.values():
        view.entities = [entities.get(name, name) for name in view.entities if isinstance(name, str)]
        view.source = sources.get(str(view.source), view.source) if isinstance(view.source, str) else view.source
    for service in services.values():
        for part in service.features:
            part.view = views.get(part.view, part.view) if isinstance(part.view, str) else part.view
    return Definitions(entities, sources, views, services)
