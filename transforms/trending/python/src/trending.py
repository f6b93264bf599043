"""What people search for, word by word, in windows of time: searches in, the words searched for most out."""

from dataclasses import dataclass, field
from typing import Any

from rowmill import Change, Measure, WindowRow, aggregate, reject

from words import words

RANK_MAX = 10
"""Who looks at trends looks at the first ones."""


@dataclass
class Settings:
    ignore: list[str] = field(default_factory=list)
    """Words that say nothing."""


@dataclass
class Search:
    """One, as it was logged."""

    query: str | None
    at: int | None
    """Milliseconds since 1970."""
    user: str | None
    results: int | None


@aggregate
def search(change: Change, settings: Settings) -> list[Measure]:
    row = change.after(Search)
    if row.query is None:
        return []
    if row.results is not None and row.results < 0:
        reject(f"the number of results is negative: {row.results}")
    if row.at is None:
        reject("the search has no time: at is missing")
    return [Measure(word, time_ms=row.at, distinct=row.user) for word in words(row.query) if word not in settings.ignore]


@search.render
def keyword(row: WindowRow) -> dict[str, Any] | None:
    if row.rank is not None and row.rank > RANK_MAX:
        return None
    if row.key.isdigit():
        reject(f"a number is no keyword: {row.key}")
    document = {"keyword": row.key, "searches": row.count, "users": row.distinct, "rank": row.rank}
    document["from"] = row.window and row.window.start
    return {name: value for name, value in document.items() if value is not None}
