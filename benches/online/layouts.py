"""What is stored: feature views of the same keys. Values only; `generate.py` makes the files."""

from __future__ import annotations

from dataclasses import asdict, dataclass

FORMAT = 1
"""Raised with every change of what `generate.py` writes, so that older files are not taken for these."""

KEY = "user_id"
MIXED = ("float64", "int64", "float64", "int64", "string")
"""Types of features, in turn."""


@dataclass(frozen=True)
class Layout:
    """Feature views of so many features each, with rows for the keys from 0 on."""

    name: str
    views: int
    features: int
    keys: int
    rows_per_key: int = 1
    types: tuple[str, ...] = MIXED

    def view_names(self) -> list[str]:
        """Returns the names of the views."""
        return [f"{self.name}_{view:02}" for view in range(self.views)]

    def view_features(self, view: str) -> dict[str, str]:
        """Returns the features of a view, each with its type; no two views have one of the same name."""
        number = int(view.rsplit("_", 1)[1])
        return {f"f{number:02}_{place:03}": self.types[place % len(self.types)] for place in range(self.features)}

    def references(self, count: int) -> list[str]:
        """Returns so many features, spread evenly over the views."""
        each, more = divmod(count, self.views)
        wanted = [(view, each + (place < more)) for place, view in enumerate(self.view_names())]
        return [f"{view}:{name}" for view, n in wanted for name in list(self.view_features(view))[:n]]

    def document(self) -> dict:
        """Returns the layout as JSON values: what `layout.json` says of the files beside it."""
        views = [{"name": view, "features": self.view_features(view)} for view in self.view_names()]
        return {"format": FORMAT} | asdict(self) | {"types": list(self.types), "view_documents": views}
