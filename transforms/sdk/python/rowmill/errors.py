"""Why a change cannot be used."""

import os
from types import CodeType, TracebackType
from typing import NoReturn

_OTHERS = tuple(os.path.dirname(file) + os.sep for file in (__file__, os.__file__))
"""Where this SDK is, and Python's own library."""

places: dict[str, str] = {}
"""What the folders of the component are called where it was built: `{"/1/": "src/"}`."""


class Rejection(Exception):
    """Its message is the reason that stands in the dead letter, as it is: without the name of the exception or the place in the code."""


def reject(reason: str) -> NoReturn:
    """Rejects the change, with this reason: it becomes a dead letter, and the rest of its batch goes on. So does any exception."""
    raise Rejection(reason)


def reason(error: BaseException) -> str:
    """What stands in the dead letter: `KeyError: 'name' (product, src/transform.py:12)`."""
    if isinstance(error, Rejection):
        return str(error)
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError):
        told += ": import it at the top of the file, for a component has no files when it runs"
    at = _place(error.__traceback__)
    return f"{told} ({at})" if at else told


def _place(trace: TracebackType | None) -> str | None:
    """The innermost function of the user's."""
    found = None
    while trace is not None:
        code = trace.tb_frame.f_code
        if _is_users(code):
            file = code.co_filename
            for folder, name in places.items():
                if file.startswith(folder):
                    file = name + file.removeprefix(folder)
                    break
            found = f"{code.co_name}, {file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _is_users(code: CodeType) -> bool:
    if places:
        return any(code.co_filename.startswith(folder) for folder in places)
    return not code.co_filename.startswith((*_OTHERS, "<"))
