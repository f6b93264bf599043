"""Write a Rowmill transform: one function from a database row to a search document.

    from rowmill import Change, transform

    @transform
    def product(change: Change):
        row = change.after()
        return {"title": row["name"]}

README.md beside this package tells the rest.
"""

from . import debezium
from .change import Change, Operation, Version
from .columns import Json
from .component import Transform, transform
from .errors import Rejection, reject
from .host import count, gauge, store
from .outputs import Deletion, Document, Message

__all__ = [
    "Change",
    "Deletion",
    "Document",
    "Json",
    "Message",
    "Operation",
    "Rejection",
    "Transform",
    "Version",
    "count",
    "debezium",
    "gauge",
    "reject",
    "store",
    "transform",
]
