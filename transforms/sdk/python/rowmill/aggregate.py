"""Functions become an aggregate."""

from collections.abc import Iterable, Iterator
from typing import Any

from .change import Change
from .component import Function, NoSettings, Taking, outputs, settings_of
from .errors import reason
from .measures import Measure, measures
from .outputs import Action
from .window import WindowRow, document


class Aggregate:
    """What `@aggregate` makes of a function. Called, it is that function."""

    def __init__(self, function: Function) -> None:
        self._measures = Taking(function, "a change", "an aggregate")
        self._renders = Taking(document, "a row of a window", "an aggregate")
        self.__doc__ = function.__doc__
        self.function = function
        self.settings: Any = None

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def render(self, function: Function) -> Function:
        """Marks the function from a row of a window to documents: of each key of each window, as often as it changes."""
        self._renders = Taking(function, "a row of a window", "an aggregate")
        return function

    def init(self, config: str) -> None:
        """Reads `transform.config`. Raises ValueError with what is wrong with it."""
        self.settings = settings_of(config, self._settings_type)

    def _settings_type(self) -> Any:
        measures, renders = self._measures.settings_type(), self._renders.settings_type()
        if NoSettings not in (measures, renders) and measures is not renders:
            names = f"{self.function.__name__} and {self._renders.function.__name__}"
            raise ValueError(f"{names} take settings of different types: a module has one")
        return renders if measures is NoSettings else measures

    def measured(self, changes: Iterable[Change]) -> Iterator[tuple[int, Measure | str]]:
        """What each change counts for: its place, and a measure or why it is rejected."""
        function = self._measures.given(self.settings)
        for place, change in enumerate(changes):
            if change.operation == "delete":
                continue
            try:
                done = measures(function(change))
            except Exception as error:
                yield place, reason(error)
            else:
                for measure in done:
                    yield place, measure

    def rendered(self, rows: Iterable[WindowRow]) -> Iterator[tuple[int, Action | str]]:
        """What becomes of each row: its place, and an action or why it is rejected."""
        return outputs(rows, self._renders.given(self.settings))


def aggregate(function: Function) -> Aggregate:
    """Marks the function that says what a change counts for: one for each module, in place of a transform.

    It is for a pipeline with a table `window` or `aggregate`. Its second parameter, if it has one, gets the settings. It is not called for
    deletes: Rowmill knows what the row had added. `@NAME.render`, with the name of the function, marks the one that makes the documents;
    without it they hold `key`, `window_start`, `window_end`, `rank`, `count`, `sum`, and what else the configuration computes.
    """
    return Aggregate(function)
