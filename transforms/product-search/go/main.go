// A row of public.products becomes a document to search for.
package main

import (
	"errors"
	"fmt"

	"rowmill.dev/transform"
)

// Settings are the pipeline's transform.config.
type Settings struct {
	Currency string `json:"currency"` // what prices are in: the table does not say
}

func product(change *transform.Change, settings *Settings) (*transform.Document, error) {
	var row Product
	if err := change.After(&row); err != nil {
		return nil, err
	}
	if err := check(&row); err != nil {
		return nil, err
	}
	document := Document{
		ProductID:   row.ID,
		SKU:         row.SKU,
		Title:       row.Name,
		Description: row.Description,
		Category:    row.Category,
		InStock:     row.InStock,
		Stock:       row.Stock,
		Tags:        []string{},
		Attributes:  row.Attrs,
		Suggest:     []string{},
		CreatedAt:   row.CreatedAt,
		UpdatedAt:   row.UpdatedAt,
	}
	if document.Stock == nil {
		document.Stock = row.Qty
	}
	if document.InStock == nil && document.Stock != nil {
		inStock := *document.Stock > 0
		document.InStock = &inStock
	}
	if row.Category != nil {
		document.CategoryPath = categoryPath(*row.Category)
	}
	if row.Price != nil {
		document.Price = &Price{Amount: *row.Price, Currency: settings.Currency}
	}
	for _, tag := range row.Tags {
		if tag != nil {
			document.Tags = append(document.Tags, *tag)
		}
	}
	for _, word := range []*string{row.Name, row.SKU} {
		if word != nil {
			document.Suggest = append(document.Suggest, *word)
		}
	}
	var err error
	if document.Text, err = words(&row, document.Tags); err != nil {
		return nil, fmt.Errorf("column `attrs`: %w", err)
	}
	return transform.NewDocument(&document)
}

func check(row *Product) error {
	switch {
	case row.Price != nil && row.Price.IsNegative():
		return fmt.Errorf("the price is negative: %s", *row.Price)
	case row.Description != nil && *row.Description == transform.Unavailable:
		return unavailable("description")
	case row.Attrs == transform.Unavailable:
		return unavailable("attrs")
	case row.Attrs != "" && !row.Attrs.IsObject():
		return errors.New("attrs is no JSON object")
	}
	return nil
}

// unavailable: a document without the value would wipe out what the index has.
func unavailable(column string) error {
	return fmt.Errorf("%s did not change and was not sent by the database: set state.keep = \"rows\"", column)
}

func init() { transform.HandleWith(Settings{Currency: "EUR"}, product) }

func main() {}
