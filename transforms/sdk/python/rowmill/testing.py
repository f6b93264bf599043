"""Runs a transform in Python itself, as Rowmill would."""

from collections.abc import Iterable
from typing import Any

from . import exact
from .aggregate import Aggregate
from .change import Change, Version
from .component import Transform
from .host import counters, gauges
from .outputs import Delete, Emit, Index
from .window import WindowRow

__all__ = ["counters", "deleted", "gauges", "measure", "render", "row", "run"]


def row(table: str, row: dict[str, Any] | str) -> Change:
    """An inserted row, as a dict or as JSON text; its key is its column `id`."""
    after = row if isinstance(row, str) else exact.text(row)
    parsed = exact.parse(after)
    has_id = isinstance(parsed, dict) and "id" in parsed
    return Change("create", "test", table, exact.text({"id": parsed["id"]}) if has_id else "null", None, after, Version(1, 1), 0)


def deleted(table: str, key: dict[str, Any]) -> Change:
    """A deleted row, by its key."""
    return Change("delete", "test", table, exact.text(key), None, None, Version(1, 1), 0)


def run(transform: Transform, changes: Iterable[Change], config: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """`init` with the settings, then one batch. Raises ValueError when the settings are refused.

    Each output is a dict with `change` (its place, from 0), `action` (`index`, `delete`, `emit` or `reject`) and what belongs to it.
    """
    transform.init(exact.text(config or {}))
    return [{"change": place, **_told(action)} for place, action in transform.transform(changes)]


def measure(aggregate: Aggregate, changes: Iterable[Change], config: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """`init` with the settings, then what one batch counts for. Raises ValueError when the settings are refused.

    Each is a dict with `change` (its place, from 0), `action` (`measure` or `reject`) and what belongs to it.
    """
    aggregate.init(exact.text(config or {}))
    measured = []
    for place, one in aggregate.measured(changes):
        if isinstance(one, str):
            measured.append({"change": place, "action": "reject", "reason": one})
        else:
            measured.append({"change": place, "action": "measure", **{name: value for name, value in vars(one).items() if value is not None}})
    return measured


def render(aggregate: Aggregate, rows: Iterable[WindowRow], config: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """`init` with the settings, then what becomes of rows of windows, as `run` has it; `change` is the place of the row."""
    aggregate.init(exact.text(config or {}))
    return [{"change": place, **_told(action)} for place, action in aggregate.rendered(rows)]


def _told(action: Index | Delete | Emit | str) -> dict[str, Any]:
    if isinstance(action, str):
        return {"action": "reject", "reason": action}
    told = {name: value for name, value in vars(action).items() if value is not None}
    if not isinstance(action, Delete):
        told["body"] = exact.parse(action.body)
    return {"action": type(action).__name__.lower(), **told}
