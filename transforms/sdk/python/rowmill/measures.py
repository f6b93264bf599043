"""What a change counts for."""

import math
from dataclasses import dataclass
from decimal import Decimal
from types import GeneratorType
from typing import Any

from .errors import Rejection
from .outputs import Text


@dataclass
class Measure:
    """What a change counts for."""

    key: Text
    """What is counted: the group. At most 480 bytes, not empty."""
    time_ms: int | None = None
    """When, in milliseconds since 1970-01-01 UTC: this decides the window. By default the change's `ts_ms`."""
    weight: int | float | Decimal = 1
    """How much; 1 counts occurrences."""
    distinct: Text | None = None
    """What the aggregate `distinct` tells apart (a user, a session)."""


def measures(answer: Any) -> list[Measure]:
    """The measures an answer stands for: all of them, or an exception and none."""
    if answer is None:
        return []
    if isinstance(answer, (list, tuple, GeneratorType)):
        return [_checked(one) for one in answer if one is not None]
    return [_checked(answer)]


def _checked(one: Any) -> Measure:
    """As it goes: texts, and a weight that is a float."""
    if not isinstance(one, Measure):
        raise Rejection(f"what counts is a Measure, and not a {type(one).__name__}")
    distinct = None if one.distinct is None else _text("distinct", one.distinct)
    return Measure(_text("key", one.key), _time(one.time_ms), _weight(one.weight), distinct)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise Rejection(f"`{name}` of a measure: expected a text, found {value!r:.60}")
    return str(value)


def _time(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise Rejection(f"`time_ms` of a measure: expected whole milliseconds since 1970, found {value!r:.60}")
    return value


def _weight(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not math.isfinite(value):
        raise Rejection(f"`weight` of a measure: expected a number, found {value!r:.60}")
    return float(value)
