"""A row of `public.products` becomes a document to search for.

`product` is the function to write: what it returns is what the index holds. sdk/README.md tells what else it may return (nothing, several
documents, messages), and what else there is (other types of columns, log, metrics, a store).
"""

from dataclasses import dataclass
from decimal import Decimal

from rowmill import Change, reject, transform


@dataclass
class Settings:
    """`transform.config` of the pipeline."""

    currency: str = "EUR"


@dataclass
class Product:
    """The columns that are used; others are skipped. A column that may be null or missing may be None."""

    id: int
    name: str | None
    price: Decimal | None
    category: str | None
    stock: int | None


@dataclass
class Price:
    amount: Decimal
    currency: str


@dataclass
class Body:
    """The document. A field that is None is left out."""

    product_id: int
    title: str | None
    price: Price | None
    category_path: list[str] | None
    in_stock: bool | None


@transform
def product(change: Change, settings: Settings) -> Body:
    row = change.after(Product)
    if row.price is not None and row.price < 0:
        reject(f"the price is negative: {row.price}")
    return Body(
        product_id=row.id,
        title=row.name,
        price=None if row.price is None else Price(row.price, settings.currency),
        category_path=category_path(row.category) if row.category else None,
        in_stock=None if row.stock is None else row.stock > 0,
    )


def category_path(category: str) -> list[str]:
    """`Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself."""
    parts = category.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
