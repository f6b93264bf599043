"""The one field that holds every word."""

from typing import Any


def words(values: list[Any]) -> str:
    """All texts within values, one after the other: not names and numbers."""
    found: list[str] = []
    _gather(values, found)
    return " ".join(found)


def _gather(value: Any, found: list[str]) -> None:
    if isinstance(value, str):
        if value:
            found.append(value)
    elif isinstance(value, dict):
        for item in value.values():
            _gather(item, found)
    elif isinstance(value, list):
        for item in value:
            _gather(item, found)
