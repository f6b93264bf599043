"""The words of a query."""

import re

_WORD = re.compile("[A-Za-z0-9]{2,}")


def words(query: str) -> list[str]:
    """Letters and digits of ASCII, lower-cased, at least two in a row; each word once, in order."""
    return list(dict.fromkeys(word.lower() for word in _WORD.findall(query)))
