"""A function becomes a transform."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_type_hints, overload

from . import exact
from .change import Change
from .columns import reader
from .errors import reason
from .outputs import Action, actions

Function = Callable[..., Any]


@dataclasses.dataclass
class NoSettings:
    """The settings of a function that takes none."""


class Transform:
    """What `@transform` makes of a function. Called, it is that function."""

    def __init__(self, function: Function, deletes: bool) -> None:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__} is async: a transform has nothing to wait for")
        self.__doc__ = function.__doc__
        self.function = function
        self.deletes = deletes
        self.settings: Any = None
        self._takes = list(inspect.signature(function).parameters)
        if len(self._takes) not in (1, 2):
            raise TypeError(f"{function.__name__} takes a change, and settings if it has any")

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def init(self, config: str) -> None:
        """Reads `transform.config`. Raises ValueError with what is wrong with it."""
        try:
            given = exact.parse(config) if config.strip() else None
            cls: Any = NoSettings
            if len(self._takes) == 2:
                cls = get_type_hints(self.function).get(self._takes[1], dict)
            given = {} if given is None else given
            self.settings = reader(cls).settings(given) if dataclasses.is_dataclass(cls) else given
        except Exception as error:
            told = str(error) if isinstance(error, ValueError) else reason(error)
            raise ValueError(f"transform.config: {told}") from error

    def transform(self, changes: Iterable[Change]) -> Iterator[tuple[int, Action | str]]:
        """What becomes of each change: its place, and an action or why it is rejected."""
        args = (self.settings,) if len(self._takes) == 2 else ()
        for place, change in enumerate(changes):
            if change.operation == "delete" and not self.deletes:
                continue
            try:
                done = actions(self.function(change, *args))
            except Exception as error:
                yield place, reason(error)
            else:
                for action in done:
                    yield place, action


@overload
def transform(function: Function) -> Transform: ...
@overload
def transform(*, deletes: bool = False) -> Callable[[Function], Transform]: ...
def transform(function: Function | None = None, *, deletes: bool = False) -> Transform | Callable[[Function], Transform]:
    """Marks the function from a change to documents: one for each module.

    Its second parameter, if it has one, gets the settings: as the dataclass that is its type, or as a dict. By default it is not called
    for deletes, which are Rowmill's affair: `@transform(deletes=True)` asks for them.
    """
    if function is not None:
        return Transform(function, False)
    return lambda function: Transform(function, deletes)
