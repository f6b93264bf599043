"""The exports of the component. build.py writes the module that calls this."""

import gc
import logging as python_logging
import sys
from io import TextIOBase
from types import ModuleType
from typing import Any

import wit_world
from componentize_py_types import Err
from wit_world.imports import logging, types

from . import errors
from .change import Change, Version
from .component import Transform
from .outputs import Delete, Index

_OPERATIONS = {types.Operation[name.upper()]: name for name in ("create", "update", "delete", "read", "refresh")}

_waiting: list[tuple[logging.Level, str]] | None = []
"""Lines of the build, when the module is imported and there is no host yet."""
_WAITING_MAX = 100


def _log(level: logging.Level, line: str) -> None:
    if _waiting is None:
        logging.log(level, "", line)
    elif len(_waiting) < _WAITING_MAX:
        _waiting.append((level, line))


class _Printed(TextIOBase):
    """What is printed goes to Rowmill's log, line by line."""

    def __init__(self, level: logging.Level) -> None:
        self.level = level
        self.begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            _log(self.level, line)
        return len(text)


class _Handler(python_logging.Handler):
    """Records of Python's `logging` go there too; what is shown of them is for the host to say."""

    def emit(self, record: python_logging.LogRecord) -> None:
        for above, level in ((40, logging.Level.ERROR), (30, logging.Level.WARN), (20, logging.Level.INFO), (0, logging.Level.DEBUG)):
            if record.levelno >= above:
                _log(level, self.format(record))
                return


def begin() -> None:
    """Before the user's module is imported."""
    sys.stdout = _Printed(logging.Level.INFO)
    python_logging.basicConfig(handlers=[_Handler()], level=python_logging.DEBUG, format="%(message)s")


def serve(module: ModuleType, places: dict[str, str]) -> type:
    """The class that componentize-py looks for."""
    found = [value for value in vars(module).values() if isinstance(value, Transform)]
    if len(found) != 1:
        raise TypeError(f"{module.__name__}.py needs one function with @transform, and has {len(found)}")
    transform = found[0]
    errors.places.update(places)
    # Not before: the build shows what goes to the real one, the traceback of a module that cannot be imported.
    sys.stderr = _Printed(logging.Level.WARN)

    class WitWorld(wit_world.WitWorld):
        def init(self, config: str) -> None:
            global _waiting
            lines, _waiting = _waiting, None
            for level, line in lines or ():
                logging.log(level, "", line)
            try:
                transform.init(config)
            except ValueError as error:
                raise Err(str(error)) from None

        def transform(self, changes: list[types.Change]) -> list[types.Output]:
            return [_output(place, action) for place, action in transform.transform(map(_change, changes))]

    # What is there now stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    return WitWorld


def _change(change: types.Change) -> Change:
    version = Version(change.version.first, change.version.second)
    operation: Any = _OPERATIONS[change.operation]
    return Change(operation, change.source, change.table, change.key, change.before, change.after, version, change.ts_ms)


def _output(place: int, action: Any) -> types.Output:
    if isinstance(action, Index):
        return types.Output(place, types.Action_Index(types.Document(action.id, action.index, action.routing, action.body)))
    if isinstance(action, str):
        return types.Output(place, types.Action_Reject(action))
    if isinstance(action, Delete):
        return types.Output(place, types.Action_Delete(types.DocumentRef(action.id, action.index, action.routing)))
    return types.Output(place, types.Action_Emit(types.Message(action.topic, action.key, action.body)))
