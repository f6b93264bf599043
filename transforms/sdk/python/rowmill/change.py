"""What comes in: one change of one row."""

from typing import Any, Literal, NamedTuple, TypeVar, overload

from . import debezium, exact
from .columns import reader
from .errors import Rejection

T = TypeVar("T")

Operation = Literal["create", "update", "delete", "read", "refresh"]
"""What happened to a row. `read`: it was read from a snapshot. `refresh`: it is as it was, but something it read, or the code, has changed."""


class Version(NamedTuple):
    """The place of a change in the history of its row; compared as a pair, only within one key."""

    first: int
    second: int


class Change:
    """One change of one row. Rows are JSON text, parsed only when the function asks."""

    __slots__ = ("operation", "source", "table", "version", "ts_ms", "key_text", "before_text", "after_text")

    def __init__(
        self,
        operation: Operation,
        source: str,
        table: str,
        key: str,
        before: str | None,
        after: str | None,
        version: Version,
        ts_ms: int,
    ) -> None:
        self.operation: Operation = operation
        self.source = source
        """The name of the source, as the change events call it (Debezium's `topic.prefix`, or the topic)."""
        self.table = table
        """`schema.table` (MySQL: `database.table`)."""
        self.version = version
        self.ts_ms = ts_ms
        """When the change was committed at the source, in milliseconds since 1970-01-01 UTC; 0 when not known."""
        self.key_text = key
        """The JSON text of the key: an object, or `null`."""
        self.before_text = before
        self.after_text = after
        """The JSON text of the row as it is now; None for a delete."""

    @overload
    def after(self) -> dict[str, Any]: ...
    @overload
    def after(self, cls: type[T]) -> T: ...
    def after(self, cls: type[T] | None = None) -> T | dict[str, Any]:
        """The row as it is now: a dict, or a dataclass of the columns that are used, each checked.

        A row that does not fit is rejected with the name of the column.
        """
        if self.after_text is None:
            raise Rejection("a deleted row has no `after`")
        return _read(self.after_text, cls)

    @overload
    def before(self) -> dict[str, Any] | None: ...
    @overload
    def before(self, cls: type[T]) -> T | None: ...
    def before(self, cls: type[T] | None = None) -> T | dict[str, Any] | None:
        """The row before the change: with `before = true` in the configuration, where the source knew it."""
        if self.before_text is None:
            return None
        return _read(self.before_text, cls)

    @overload
    def key(self) -> dict[str, Any] | None: ...
    @overload
    def key(self, cls: type[T]) -> T: ...
    def key(self, cls: type[T] | None = None) -> T | dict[str, Any] | None:
        """The key columns; None for a table without a key."""
        return _read(self.key_text, cls)

    def lacks_columns(self) -> bool:
        """Whether some column was not sent by the database, because it is long and did not change: see debezium.UNAVAILABLE."""
        return self.after_text is not None and debezium.UNAVAILABLE in self.after_text


def _read(text: str, cls: type | None) -> Any:
    row = exact.parse(text)
    return row if cls is None else reader(cls).row(row)
