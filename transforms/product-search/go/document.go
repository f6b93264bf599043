package main

import (
	"encoding/json"
	"strings"

	"rowmill.dev/transform"
)

// Document is what the index holds.
type Document struct {
	ProductID    json.RawMessage `json:"product_id,omitempty"`
	SKU          *string         `json:"sku,omitempty"`
	Title        *string         `json:"title,omitempty"`
	Description  *string         `json:"description,omitempty"`
	Category     *string         `json:"category,omitempty"`
	CategoryPath []string        `json:"category_path,omitempty"` // the category and those above it, for a facet that opens level by level
	Price        *Price          `json:"price,omitempty"`
	InStock      *bool           `json:"in_stock,omitempty"`
	Stock        *int64          `json:"stock,omitempty"`
	Tags         []string        `json:"tags"`
	Attributes   transform.JSON  `json:"attributes,omitempty"`
	Text         string          `json:"text"`    // everything one may search for
	Suggest      []string        `json:"suggest"` // what a search box may offer while one types
	CreatedAt    json.RawMessage `json:"created_at,omitempty"`
	UpdatedAt    json.RawMessage `json:"updated_at,omitempty"`
}

// Price is an amount with all its digits.
type Price struct {
	Amount   transform.Decimal `json:"amount"`
	Currency string            `json:"currency"`
}

// categoryPath: Home/Kitchen/Pans is in Home, in Home/Kitchen and in itself.
func categoryPath(category string) []string {
	var paths []string
	for at := range len(category) + 1 {
		if at > 0 && (at == len(category) || category[at] == '/') {
			paths = append(paths, category[:at])
		}
	}
	return paths
}

// words joins every text of the row that one may search for.
func words(row *Product, tags []string) (string, error) {
	var text strings.Builder
	add := func(word string) {
		if word != "" && text.Len() > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(word)
	}
	for _, column := range []*string{row.Name, row.Description, row.Category} {
		if column != nil {
			add(*column)
		}
	}
	for _, tag := range tags {
		add(tag)
	}
	for word, err := range row.Attrs.Texts() {
		if err != nil {
			return "", err
		}
		add(word)
	}
	return text.String(), nil
}
