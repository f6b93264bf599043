"""A row of `public.products` becomes a document to search for.

Every column may be missing, and columns that are not named are skipped: the table may change in mid-stream.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rowmill import Change, reject, transform

from words import words


@dataclass
class Settings:
    currency: str = "EUR"
    """What prices are in: the table does not say."""


@dataclass
class Product:
    """The columns that are used."""

    id: int | None
    sku: str | None
    name: str | None
    description: str | None
    category: str | None
    price: Decimal | None
    stock: int | None
    qty: int | None
    in_stock: bool | None
    tags: list[str | None] | None
    attrs: dict[str, Any] | None
    # Text, or a count since 1970: as the connector sends it.
    created_at: Any
    updated_at: Any


@dataclass
class Price:
    """An amount with all its digits."""

    amount: Decimal
    currency: str


@dataclass
class Body:
    """What the index holds. A field that is None is left out."""

    product_id: int | None
    sku: str | None
    title: str | None
    description: str | None
    category: str | None
    category_path: list[str] | None
    """The category and those above it, for a facet that opens level by level."""
    price: Price | None
    in_stock: bool | None
    stock: int | None
    tags: list[str]
    attributes: dict[str, Any] | None
    text: str
    """Everything one may search for, in one field."""
    suggest: list[str]
    """What a search box may offer while one types."""
    created_at: Any
    updated_at: Any


@transform
def product(change: Change, settings: Settings) -> Body:
    row = change.after(Product)
    if row.price is not None and row.price < 0:
        reject(f"the price is negative: {row.price}")
    stock = row.qty if row.stock is None else row.stock
    in_stock = row.in_stock if row.in_stock is not None or stock is None else stock > 0
    tags = [tag for tag in row.tags or () if tag is not None]
    return Body(
        product_id=row.id,
        sku=row.sku,
        title=row.name,
        description=row.description,
        category=row.category,
        category_path=category_path(row.category) if row.category else None,
        price=None if row.price is None else Price(row.price, settings.currency),
        in_stock=in_stock,
        stock=stock,
        tags=tags,
        attributes=row.attrs,
        text=words([row.name, row.description, row.category, *tags, row.attrs]),
        suggest=[text for text in (row.name, row.sku) if text is not None],
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def category_path(category: str) -> list[str]:
    """`Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself."""
    parts = category.split("/")
    paths = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return [path for path in paths if path]
