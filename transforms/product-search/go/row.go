package main

import (
	"encoding/json"

	"rowmill.dev/transform"
)

// Product is the row as it comes, the columns that are used. Every column may be missing: the table may change in mid-stream.
type Product struct {
	ID          json.RawMessage    `json:"id"`
	SKU         *string            `json:"sku"`
	Name        *string            `json:"name"`
	Description *string            `json:"description"`
	Category    *string            `json:"category"`
	Price       *transform.Decimal `json:"price"`
	Stock       *int64             `json:"stock"`
	Qty         *int64             `json:"qty"` // what stock is called elsewhere
	InStock     *bool              `json:"in_stock"`
	Tags        []*string          `json:"tags"`
	Attrs       transform.JSON     `json:"attrs"`
	// Text, or a count since 1970: as the connector sends it.
	CreatedAt json.RawMessage `json:"created_at"`
	UpdatedAt json.RawMessage `json:"updated_at"`
}
