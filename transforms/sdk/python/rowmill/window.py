"""What has been counted: one key of one window."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

_EPOCH = datetime(1970, 1, 1)


@dataclass
class Window:
    """From `start_ms`, included, to `end_ms`, not included; milliseconds since 1970-01-01 UTC."""

    start_ms: int
    end_ms: int

    @property
    def start(self) -> str:
        """The beginning as RFC 3339 text: `2026-11-21T00:00:00Z`, with milliseconds where there are some."""
        return _instant(self.start_ms)

    @property
    def end(self) -> str:
        """The end as RFC 3339 text."""
        return _instant(self.end_ms)


@dataclass
class WindowRow:
    """One key of one window, as it stands now. What there is none of, or what the configuration does not ask for, is None."""

    key: str
    count: int = 1
    """Measures."""
    sum: Decimal = Decimal(1)
    """Of their weights."""
    window: Window | None = None
    """None: the pipeline has no window, and counts the whole table."""
    rank: int | None = None
    """From 1; None: the pipeline ranks nothing."""
    is_final: bool = False
    """Whether the window is closed: then this is the last word on it."""
    min: Decimal | None = None
    max: Decimal | None = None
    average: Decimal | None = None
    distinct: int | None = None
    """How many different values of `distinct` there were."""
    score: float | None = None
    """The sum of the weights, each halved with every half-life since its time."""


def document(row: WindowRow) -> dict[str, Any]:
    """What a row becomes where nothing renders it."""
    window = row.window
    fields = {
        "key": row.key,
        "window_start": window and window.start,
        "window_end": window and window.end,
        "rank": row.rank,
        "count": row.count,
        "sum": row.sum,
        "min": row.min,
        "max": row.max,
        "average": row.average,
        "distinct": row.distinct,
        "score": row.score,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _instant(ms: int) -> str:
    at = _EPOCH + timedelta(milliseconds=ms)
    return at.isoformat(timespec="milliseconds" if ms % 1000 else "seconds") + "Z"
