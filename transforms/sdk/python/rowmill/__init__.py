"""Write a Rowmill transform: one function from a database row to a search document.

    from rowmill import Change, transform

    @transform
    def product(change: Change):
        row = change.after()
        return {"title": row["name"]}

README.md beside this package tells the rest.
"""

from . import debezium
from .aggregate import Aggregate, aggregate
from .change import Change, Operation, Version
from .columns import Json
from .component import Transform, transform
from .errors import Rejection, reject
from .host import count, gauge, store
from .measures import Measure
from .outputs import Deletion, Document, Message
from .window import Window, WindowRow

__all__ = [
    "Aggregate",
    "Change",
    "Deletion",
    "Document",
    "Json",
    "Measure",
    "Message",
    "Operation",
    "Rejection",
    "Transform",
    "Version",
    "Window",
    "WindowRow",
    "aggregate",
    "count",
    "debezium",
    "gauge",
    "reject",
    "store",
    "transform",
]
