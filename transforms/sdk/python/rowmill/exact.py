"""JSON without loss: numbers with a point are Decimals, and Decimals are written as numbers."""

import json
import re
from datetime import date
from decimal import Decimal
from typing import Any, NoReturn

from .errors import Rejection


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number that JSON has")


parse = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number).decode
"""Reads JSON text."""


def text(value: Any) -> str:
    """Writes JSON text. Fields of a dataclass that are None are left out; entries of a dict stay."""
    written = _with_decimals(value)
    if not written.isascii():
        try:
            written.encode()
        except UnicodeEncodeError:
            # Half a surrogate pair has no UTF-8, but an escape.
            written = re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", written)
    return written


# The encoder in C can write no raw number: it writes each Decimal as a text with a mark before it, and marks and quotes go afterwards.
_mark = ""
_marked = 0


def _default(value: Any) -> Any:
    global _marked
    if value.__class__ is Decimal:
        if not value.is_finite():
            _no_number(str(value))
        _marked += 1
        return f"{_mark}{value}"
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        fields = value.__dict__ if hasattr(value, "__dict__") else {name: getattr(value, name) for name in value.__dataclass_fields__}
        return {name: field for name, field in fields.items() if field is not None}
    if isinstance(value, date):
        return value.isoformat()
    raise Rejection(f"JSON has nothing for a {type(value).__name__}: {value!r:.60}")


_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=_default).encode


def _with_decimals(value: Any) -> str:
    global _mark, _marked
    # A text of the data may begin as the mark does: then the counts differ, and the next mark is tried.
    for mark in ("#", "1#", "2#"):
        _mark, _marked = f"\0{mark}", 0
        written = _encode(value)
        if _marked == 0:
            return written
        first, *others = written.split(f'"\\u0000{mark}')
        if len(others) == _marked:
            return first + "".join([other.replace('"', "", 1) for other in others])
    raise Rejection("the document has texts that begin with a mark of this SDK")
