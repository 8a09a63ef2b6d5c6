"""Feature services: what a model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodestore._definition import Definition, check_feast_only, sequence
from lodestore.feature_view import FeatureView, FeatureViewProjection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import TypedDict, Unpack

    class FeastOnly(TypedDict, total=False):
        logging_config: object
        precompute_online: bool


__all__ = ["FeatureService"]

_FEAST_ONLY: dict[str, tuple[object, str]] = {
    "logging_config": (None, "log what get_online_features returns where it is called"),
    "precompute_online": (False, "rows are read as they are stored; leave the argument out"),
}


class FeatureService(Definition):
    """The features that a model reads, in order. It pins the views' versions when it is applied.

    Parameters
    ----------
    name : str
        The service's name.
    features : list of FeatureView, FeatureViewProjection or str
        What of which views it reads. Text is ``view`` for all features of a view, or ``view:feature``; a version
        is named as in ``view@3:feature``.
    tags : dict of str to str, optional
        Labels.
    description : str, optional
        What it is.
    owner : str, optional
        Whom to ask.

    Attributes
    ----------
    features : list of FeatureViewProjection
        What of which views it reads.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    UnsupportedError
        If an argument that only Feast has is given; it says what to use instead.

    Examples
    --------
    >>> from lodestore import FeatureService
    >>> FeatureService(name="model", features=["driver_stats:conv_rate", "places"]).to_document()["features"]
    [{'view': 'driver_stats', 'features': ['conv_rate']}, {'view': 'places'}]
    """

    kind = "feature service"

    def __init__(
        self,
        *,
        name: str,
        features: Sequence[FeatureView | FeatureViewProjection | str],
        tags: Mapping[str, str] | None = None,
        description: str = "",
        owner: str = "",
        **feast_only: Unpack[FeastOnly],
    ) -> None:
        self._set_words(name, description, tags, owner)
        self.features = [_projection(self, part) for part in sequence(self, "features", features)]
        check_feast_only(self, feast_only, _FEAST_ONLY)

    def references(self) -> Iterable[Definition]:
        return [part.view for part in self.features if isinstance(part.view, FeatureView)]

    def _content(self) -> dict[str, Any]:
        return {"features": [part.to_document() for part in self.features]}

    @classmethod
    def _arguments(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        return {**document, "features": [FeatureViewProjection.from_document(part) for part in document["features"]]}


def _projection(service: FeatureService, part: object) -> FeatureViewProjection:
    if isinstance(part, FeatureViewProjection):
        return part
    if isinstance(part, FeatureView):
        return FeatureViewProjection(part)
    if isinstance(part, str):
        return FeatureViewProjection.from_document(part)
    raise TypeError(f"{service}: features must be feature views, projections or text 'view:feature', not {part!r}")
