"""What the host gives: counters, the store; and in tests, what stands for it."""

from collections.abc import Iterator
from typing import Any

from . import exact

try:
    from wit_world.imports import metrics

    HOSTED = True
except ModuleNotFoundError:
    HOSTED = False

try:
    from wit_world.imports import atomics
    from wit_world.imports import wasi_keyvalue_store as keyvalue

    HAS_STORE = True
except ImportError:
    HAS_STORE = not HOSTED

counters: dict[str, int] = {}
"""In tests: what was counted."""
gauges: dict[str, float] = {}


def count(name: str, delta: int = 1) -> None:
    """Adds to a counter of your own: `rowmill_guest_counter_total{pipeline,name}`. A name has at most 64 characters of `a-z0-9_`."""
    if HOSTED:
        metrics.count(name, delta)
    else:
        counters[name] = counters.get(name, 0) + delta


def gauge(name: str, value: float) -> None:
    """Sets a gauge of your own: `rowmill_guest_gauge{pipeline,name}`."""
    if HOSTED:
        metrics.gauge(name, value)
    else:
        gauges[name] = value


class Store:
    """The pipeline's key-value store: values are anything that JSON has. It changes in the write that commits the batch, or not at all.

    An aggregate has none.
    """

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key. Numbers with a point are Decimals."""
        value = _bucket().get(key)
        return default if value is None else exact.parse(value.decode())

    def set(self, key: str, value: Any) -> None:
        """Sets the value of a key."""
        _bucket().set(key, exact.text(value).encode())

    def delete(self, key: str) -> None:
        """Removes a key, if it is there."""
        _bucket().delete(key)

    def __contains__(self, key: str) -> bool:
        return bool(_bucket().exists(key))

    def increment(self, key: str, delta: int = 1) -> int:
        """Adds to a counter, which begins at 0, and gives the sum."""
        return int(_bucket().increment(key, delta))

    def keys(self) -> Iterator[str]:
        """All keys, in no order."""
        cursor = None
        while True:
            keys, cursor = _bucket().list_keys(cursor)
            yield from keys
            if cursor is None:
                return


store = Store()


class _Hosted:
    """The host's bucket; its errors are sentences."""

    def __init__(self) -> None:
        self.bucket = _asked(keyvalue.open, "default")

    def get(self, key: str) -> Any:
        return _asked(self.bucket.get, key)

    def set(self, key: str, value: bytes) -> None:
        _asked(self.bucket.set, key, value)

    def delete(self, key: str) -> None:
        _asked(self.bucket.delete, key)

    def exists(self, key: str) -> Any:
        return _asked(self.bucket.exists, key)

    def increment(self, key: str, delta: int) -> Any:
        return _asked(atomics.increment, self.bucket, key, delta)

    def list_keys(self, cursor: int | None) -> tuple[list[str], int | None]:
        page = _asked(self.bucket.list_keys, cursor)
        return page.keys, page.cursor


class _Native:
    """A dict, for tests."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def set(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def exists(self, key: str) -> bool:
        return key in self.values

    def increment(self, key: str, delta: int) -> int:
        total = int(self.values.get(key, b"0")) + delta
        self.values[key] = str(total).encode()
        return total

    def list_keys(self, cursor: int | None) -> tuple[list[str], int | None]:
        return list(self.values), None


class StoreError(Exception):
    """Why the store did not do what it was asked."""


def _asked(question: Any, *args: Any) -> Any:
    try:
        return question(*args)
    except Exception as error:
        # componentize-py raises `Err` with a record: what it says, or its name.
        told = getattr(error, "value", None)
        if told is None:
            raise
        raise StoreError(getattr(told, "value", None) or type(told).__name__) from None


_opened: Any = None


def _bucket() -> Any:
    global _opened
    if not HAS_STORE:
        raise StoreError("there is none in an aggregate: what it returns is counted by Rowmill")
    if _opened is None:
        _opened = _Hosted() if HOSTED else _Native()
    return _opened
