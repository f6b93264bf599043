"""The exports of the component. build.py writes the module that calls this."""

import gc
import logging as python_logging
import sys
from decimal import Decimal
from io import TextIOBase
from types import ModuleType
from typing import Any

import wit_world
from componentize_py_types import Err
from wit_world.imports import logging, types

try:
    from wit_world.imports import windows
except ImportError:
    """A transform knows of no windows."""

from . import errors
from .aggregate import Aggregate
from .change import Change, Version
from .component import Transform
from .measures import Measure
from .outputs import Delete, Index
from .window import Window, WindowRow

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


def serve(module: ModuleType, places: dict[str, str], world: str) -> type:
    """The class that componentize-py looks for, in a component of that world."""
    found = [value for value in vars(module).values() if isinstance(value, (Transform, Aggregate))]
    if len(found) != 1:
        raise TypeError(f"{module.__name__}.py needs one function with @transform or @aggregate, and has {len(found)}")
    served = found[0]
    of = "aggregate" if isinstance(served, Aggregate) else "transform"
    if of != world:
        # build.py takes the other world then.
        raise TypeError(f"the module is of the world {of}")
    errors.places.update(places)
    # Not before: the build shows what goes to the real one, the traceback of a module that cannot be imported.
    sys.stderr = _Printed(logging.Level.WARN)
    served_by = _aggregate(served) if isinstance(served, Aggregate) else _transform(served)
    # What is there now stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    return served_by


def _transform(transform: Transform) -> type:
    class WitWorld(wit_world.WitWorld):
        def init(self, config: str) -> None:
            _init(transform, config)

        def transform(self, changes: list[types.Change]) -> list[types.Output]:
            return [_output(place, action) for place, action in transform.transform(map(_change, changes))]

    return WitWorld


def _aggregate(aggregate: Aggregate) -> type:
    class WitWorld(wit_world.WitWorld):
        def init(self, config: str) -> None:
            _init(aggregate, config)

        def measure(self, changes: list[types.Change]) -> list[Any]:
            return [_measurement(place, measure) for place, measure in aggregate.measured(map(_change, changes))]

        def render(self, rows: list[Any]) -> list[types.Output]:
            return [_output(place, action) for place, action in aggregate.rendered(map(_row, rows))]

    return WitWorld


def _init(served: Transform | Aggregate, config: str) -> None:
    global _waiting
    lines, _waiting = _waiting, None
    for level, line in lines or ():
        logging.log(level, "", line)
    try:
        served.init(config)
    except ValueError as error:
        raise Err(str(error)) from None


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


def _measurement(place: int, measure: Measure | str) -> Any:
    if isinstance(measure, str):
        return windows.Measurement(place, windows.Measured_Reject(measure))
    counts = windows.Measure(measure.key, measure.time_ms, measure.weight, measure.distinct)
    return windows.Measurement(place, windows.Measured_Counts(counts))


def _row(row: Any) -> WindowRow:
    """Digits of any length: a Decimal that is read keeps them all."""
    return WindowRow(
        key=row.key,
        count=row.count,
        sum=Decimal(row.sum),
        window=row.window and Window(row.window.start_ms, row.window.end_ms),
        rank=row.rank,
        is_final=row.is_final,
        min=row.min and Decimal(row.min),
        max=row.max and Decimal(row.max),
        average=row.average and Decimal(row.average),
        distinct=row.distinct,
        score=row.score,
    )
