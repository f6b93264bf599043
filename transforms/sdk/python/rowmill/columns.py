"""Rows and settings with types: a dataclass says which fields are used, and what each must hold."""

import dataclasses
import types
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from . import debezium, exact
from .errors import Rejection

Json = Annotated[Any, "json"]
"""The type of a `json` or `jsonb` column that may hold anything: parsed, also where it comes as a text. `dict` and `list` are read alike."""

Read = Callable[[Any], Any]

_readers: dict[type, "Reader"] = {}


def reader(cls: type) -> "Reader":
    """What reads a dataclass; made once for each."""
    found = _readers.get(cls)
    if found is None:
        found = _readers[cls] = Reader(cls)
    return found


class Reader:
    """Reads a dataclass from what JSON gave."""

    def __init__(self, cls: type) -> None:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls!r} is no dataclass")
        self.cls = cls
        hints = get_type_hints(cls, include_extras=True)
        self.columns = [_column(field, hints[field.name]) for field in dataclasses.fields(cls) if field.init]
        self.names = [column[0] for column in self.columns]

    def row(self, row: Any) -> Any:
        """A row: columns that the dataclass does not name are skipped."""
        if not isinstance(row, dict):
            raise Rejection("the table has no key" if row is None else "the row is no object")
        values = []
        get = row.get
        for name, kind, read, absent in self.columns:
            value = get(name)
            if value.__class__ is kind and value != debezium.UNAVAILABLE:
                values.append(value)
            else:
                values.append(_other("column", name, value, read, absent, name in row))
        return self.cls(*values)

    def settings(self, given: Any) -> Any:
        """Settings: those that the dataclass does not name are refused."""
        if not isinstance(given, dict):
            raise Rejection(f"expected settings, found {_told(given)}")
        for name in given:
            if name not in self.names:
                known = ", ".join(f"`{known}`" for known in self.names)
                raise Rejection(f"there is no setting `{name}`, {'only ' + known if known else 'and no other'}")
        return self.cls(*[_other("setting", name, given.get(name), read, absent, name in given) for name, _, read, absent in self.columns])


# A column: its name, the class of values that are taken as they are, what reads others, and what makes the value of a null, if it may be one.
Column = tuple[str, type, Read, "Callable[[], Any] | None"]


def _column(field: "dataclasses.Field[Any]", hint: Any) -> Column:
    kind, read, optional = _read(hint)
    default = field.default
    absent: Callable[[], Any] | None = None
    if field.default_factory is not dataclasses.MISSING:
        absent = field.default_factory
    elif default is not dataclasses.MISSING or optional:
        absent = lambda: None if default is dataclasses.MISSING else default  # noqa: E731
    return field.name, kind, read, absent


def _other(what: str, name: str, value: Any, read: Read, absent: Callable[[], Any] | None, given: bool) -> Any:
    if value is None:
        if absent is None:
            raise Rejection(f"{what} `{name}` is {'null' if given else 'missing'}")
        return absent()
    if value == debezium.UNAVAILABLE and what == "column":
        # A document without the value would wipe out what the index has.
        raise Rejection(f'{name} did not change and was not sent by the database: set state.keep = "rows"')
    try:
        return read(value)
    except Rejection as error:
        raise Rejection(f"{what} `{name}`: {error}") from None


def _read(hint: Any) -> tuple[type, Read, bool]:
    """Of a type: the class of values that need no look, what reads others, and whether None is among them."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        some = [arg for arg in args if arg is not type(None)]
        optional = len(some) < len(args)
        if len(some) == 1:
            kind, read, _ = _read(some[0])
            return kind, read, optional
        return _Never, _one_of(hint, [_read(arg)[1] for arg in some]), optional
    if origin is Annotated:
        return _annotated(args[0], args[1])
    if hint in _SIMPLE:
        kind, read = _SIMPLE[hint]
        return kind, read, hint is Any
    if origin is list:
        return _Never, _list(*args), False
    if origin is dict:
        return _Never, _dict, False
    if dataclasses.is_dataclass(hint):
        cls: Any = hint
        return _Never, lambda value: reader(cls).row(_parsed(value)), False
    raise TypeError(
        f"a column cannot be a {hint!r}: str, int, float, bool, Decimal, dict, list, Json, Any, a dataclass, or one of these or None can be read"
    )


def _annotated(base: Any, how: Any) -> tuple[type, Read, bool]:
    if how == "json":
        return _Never, _parsed, True
    if callable(how):
        return _Never, how, _read(base)[2]
    return _read(base)


class _Never:
    """The class of no value: each is read."""


def _misfit(expected: str, value: Any) -> Rejection:
    return Rejection(f"expected {expected}, found {_told(value)}")


def _told(value: Any) -> str:
    told = exact.text(value)
    return told if len(told) <= 60 else told[:60] + "…"


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _misfit("a text", value)


def _int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _misfit("a whole number", value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _misfit("true or false", value)


def _float(value: Any) -> float:
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return float(value)
    raise _misfit("a number", value)


def _decimal(value: Any) -> Decimal:
    """What Debezium makes of a `numeric`: a text, a number, or `{"scale":2,"value":"BOI="}`."""
    if isinstance(value, dict) and isinstance(value.get("scale"), int) and isinstance(value.get("value"), str):
        return debezium.decimal(value["value"], value["scale"])
    if not isinstance(value, (str, int, Decimal)) or isinstance(value, bool):
        raise _misfit("a number", value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise Rejection(f"`{value}` is not a decimal number")
    return number


def _parsed(value: Any) -> Any:
    """`json` and `jsonb` come as a text that holds JSON."""
    if not isinstance(value, str):
        return value
    try:
        return exact.parse(value)
    except ValueError as error:
        raise Rejection(str(error)) from None


def _dict(value: Any) -> dict[str, Any]:
    parsed = _parsed(value)
    if isinstance(parsed, dict):
        return parsed
    raise _misfit("an object", parsed)


def _list(item: Any = Any) -> Read:
    kind, read, optional = _read(item)

    def items(value: Any) -> list[Any]:
        parsed = _parsed(value)
        if not isinstance(parsed, list):
            raise _misfit("a list", parsed)
        if not optional and None in parsed:
            raise _misfit("a list without null", parsed)
        return [one if one.__class__ is kind or one is None else read(one) for one in parsed]

    return items


def _one_of(hint: Any, reads: list[Read]) -> Read:
    def read(value: Any) -> Any:
        for one in reads:
            try:
                return one(value)
            except Rejection:
                pass
        raise _misfit(" or ".join(getattr(arg, "__name__", str(arg)) for arg in get_args(hint) if arg is not type(None)), value)

    return read


_SIMPLE: dict[Any, tuple[type, Read]] = {
    str: (str, _str),
    int: (int, _int),
    bool: (bool, _bool),
    float: (float, _float),
    Decimal: (Decimal, _decimal),
    dict: (_Never, _dict),
    Any: (_Never, lambda value: value),
    object: (_Never, lambda value: value),
}
_SIMPLE[list] = (_Never, _list())
