"""Functions become a transform."""

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


class Taking:
    """A function of one thing, and of settings if it has any."""

    def __init__(self, function: Function, what: str, kind: str) -> None:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__} is async: {kind} has nothing to wait for")
        self.function = function
        self.parameters = list(inspect.signature(function).parameters)
        if len(self.parameters) not in (1, 2):
            raise TypeError(f"{function.__name__} takes {what}, and settings if it has any")

    def settings_type(self) -> Any:
        """Of the settings that it takes."""
        if len(self.parameters) == 1:
            return NoSettings
        return get_type_hints(self.function).get(self.parameters[1], dict)

    def given(self, settings: Any) -> Callable[[Any], Any]:
        """The function, of the one thing."""
        if len(self.parameters) == 1:
            return self.function
        return lambda one: self.function(one, settings)


def settings_of(config: str, settings_type: Callable[[], Any]) -> Any:
    """Reads `transform.config`. Raises ValueError with what is wrong with it."""
    try:
        cls = settings_type()
        given = exact.parse(config) if config.strip() else None
        given = {} if given is None else given
        return reader(cls).settings(given) if dataclasses.is_dataclass(cls) else given
    except Exception as error:
        told = str(error) if isinstance(error, ValueError) else reason(error)
        raise ValueError(f"transform.config: {told}") from error


def outputs(items: Iterable[Any], function: Callable[[Any], Any]) -> Iterator[tuple[int, Action | str]]:
    """What becomes of each item: its place, and an action or why it is rejected."""
    for place, item in enumerate(items):
        try:
            done = actions(function(item))
        except Exception as error:
            yield place, reason(error)
        else:
            for action in done:
                yield place, action


class Transform:
    """What `@transform` makes of a function. Called, it is that function."""

    def __init__(self, function: Function, deletes: bool) -> None:
        self._taking = Taking(function, "a change", "a transform")
        self.__doc__ = function.__doc__
        self.function = function
        self.deletes = deletes
        self.settings: Any = None

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def init(self, config: str) -> None:
        """Reads `transform.config`. Raises ValueError with what is wrong with it."""
        self.settings = settings_of(config, self._taking.settings_type)

    def transform(self, changes: Iterable[Change]) -> Iterator[tuple[int, Action | str]]:
        """What becomes of each change: its place, and an action or why it is rejected."""
        function = self._taking.given(self.settings)
        return outputs(changes, lambda change: None if change.operation == "delete" and not self.deletes else function(change))


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
