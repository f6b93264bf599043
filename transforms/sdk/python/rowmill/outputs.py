"""What goes out, and what a function may answer."""

from dataclasses import dataclass
from decimal import Decimal
from types import GeneratorType
from typing import Any, Union

from . import exact
from .errors import Rejection

Text = Union[str, int, Decimal]


@dataclass
class Document:
    """A document that says where it is: by default the row's key, the pipeline's index, no routing."""

    body: Any
    id: Text | None = None
    index: str | None = None
    routing: Text | None = None


@dataclass
class Deletion:
    """Deletes a document. Seldom needed: what a row produced before and does not produce now, Rowmill deletes."""

    id: Text | None = None
    index: str | None = None
    routing: Text | None = None


@dataclass
class Message:
    """Something to be sent on, apart from the documents. Messages with the same key stay in order."""

    topic: str
    body: Any
    key: Text | None = None


@dataclass
class Index:
    """A document as it goes."""

    id: str | None
    index: str | None
    routing: str | None
    body: str


@dataclass
class Delete:
    """A delete as it goes."""

    id: str | None
    index: str | None
    routing: str | None


@dataclass
class Emit:
    """A message as it goes."""

    topic: str
    key: str | None
    body: str


Action = Union[Index, Delete, Emit]


def actions(answer: Any) -> list[Action]:
    """The actions an answer stands for: all of them, or an exception and none."""
    if answer is None:
        return []
    if isinstance(answer, (list, tuple, GeneratorType)):
        return [_action(one) for one in answer if one is not None]
    return [_action(answer)]


def _action(one: Any) -> Action:
    if isinstance(one, Document):
        return Index(_text(one.id), one.index, _text(one.routing), _body(one.body))
    if isinstance(one, Deletion):
        return Delete(_text(one.id), one.index, _text(one.routing))
    if isinstance(one, Message):
        return Emit(one.topic, _text(one.key), exact.text(one.body))
    return Index(None, None, None, _body(one))


def _body(body: Any) -> str:
    if not isinstance(body, dict) and not hasattr(body, "__dataclass_fields__"):
        raise Rejection(f"a document is a dict or a dataclass, and not a {type(body).__name__}")
    return exact.text(body)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
