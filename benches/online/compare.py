"""Whether two systems answer alike: answers come first, times afterwards."""

from __future__ import annotations


def difference(ours: dict[str, list], theirs: dict[str, list]) -> str | None:
    """Returns how two answers of columns differ, or None. The order of the columns is not compared: Feast's varies."""
    if ours.keys() != theirs.keys():
        return f"columns: {sorted(ours.keys() ^ theirs.keys())}"
    for name, column in ours.items():
        if len(column) != len(theirs[name]):
            return f"{name}: {len(column)} rows and {len(theirs[name])}"
        for row, (one, other) in enumerate(zip(column, theirs[name], strict=True)):
            if one != other or type(one) is not type(other):
                return f"{name}, row {row}: {one!r} and {other!r}"
    return None
