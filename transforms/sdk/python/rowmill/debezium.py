"""What Debezium makes of values that JSON has no type for, and back.

A function of one value may stand in a type: `available_on: Annotated[str, debezium.date]`.
"""

import base64
import binascii
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from .errors import Rejection

UNAVAILABLE = "__debezium_unavailable_value"
"""Stands in place of a long value that did not change: Postgres does not send those again (TOAST). With `state.keep = "rows"` Rowmill
fills it in before the transform sees the row."""


def is_unavailable(value: Any) -> bool:
    return bool(value == UNAVAILABLE)


def bytes_of(text: str) -> bytes:
    """The bytes of a `bytea` column."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Rejection(f"`{text}` is not base64") from None


def decimal(text: str, scale: int) -> Decimal:
    """`decimal("BNM=", 2)` is `Decimal("12.35")`: a whole number in two's complement, of which the last `scale` digits stand behind the point."""
    value = bytes_of(text)
    # Postgres: at most 131,072 digits before the point and 16,383 after it.
    if len(value) > 65_536 or abs(scale) > 131_072:
        raise Rejection(f"a decimal of {len(value)} bytes and scale {scale} is too long")
    whole = int.from_bytes(value, "big", signed=True)
    digits = Decimal(abs(whole)).as_tuple().digits
    return Decimal((int(whole < 0), digits, -scale))


def date(days: int) -> str:
    """`date(19782)` is `2024-02-29`."""
    return _since_1970(days * 86_400).date().isoformat()


def timestamp_millis(millis: int) -> str:
    """`timestamp_millis(1710041400654)` is `2024-03-10T03:30:00.654Z`."""
    return _timestamp(millis, 1_000, 3)


def timestamp_micros(micros: int) -> str:
    """`timestamp_micros(1710041400654321)` is `2024-03-10T03:30:00.654321Z`."""
    return _timestamp(micros, 1_000_000, 6)


def timestamp_nanos(nanos: int) -> str:
    return _timestamp(nanos, 1_000_000_000, 9)


def _timestamp(count: int, per_second: int, digits: int) -> str:
    seconds, rest = divmod(count, per_second)
    return f"{_since_1970(seconds).isoformat()}.{rest:0{digits}}Z"


def _since_1970(seconds: int) -> datetime:
    try:
        return datetime(1970, 1, 1) + timedelta(seconds=seconds)
    except OverflowError:
        raise Rejection(f"{seconds} seconds since 1970 are beyond the years from 1 to 9999") from None
