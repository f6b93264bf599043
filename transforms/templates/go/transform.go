// A row of public.products becomes a document to search for.
//
// product is the function to write: what it returns is what the index holds. sdk/README.md tells what else it may return (nothing,
// several documents, messages), and what else there is (log, metrics, a store).
package main

import (
	"encoding/json"
	"fmt"

	"rowmill.dev/transform"
)

// Settings are transform.config of the pipeline.
type Settings struct {
	Currency string `json:"currency"`
}

// Product has the columns that are used; others are skipped. A column that may be null, or may go, is a pointer.
type Product struct {
	ID       json.RawMessage    `json:"id"` // as it stands: an id may have more digits than an int64
	Name     *string            `json:"name"`
	Price    *transform.Decimal `json:"price"`
	Category string             `json:"category"`
	Stock    *int64             `json:"stock"`
}

// Body is the document.
type Body struct {
	ProductID    json.RawMessage `json:"product_id"`
	Title        *string         `json:"title,omitempty"`
	Price        *Price          `json:"price,omitempty"`
	CategoryPath []string        `json:"category_path,omitempty"`
	InStock      *bool           `json:"in_stock,omitempty"`
}

// Price is an amount with all its digits.
type Price struct {
	Amount   transform.Decimal `json:"amount"`
	Currency string            `json:"currency"`
}

func product(change *transform.Change, settings *Settings) (*transform.Document, error) {
	var row Product
	if err := change.After(&row); err != nil {
		return nil, err
	}
	body := Body{ProductID: row.ID, Title: row.Name, CategoryPath: categoryPath(row.Category)}
	if row.Price != nil {
		if row.Price.IsNegative() {
			return nil, fmt.Errorf("the price is negative: %s", *row.Price)
		}
		body.Price = &Price{Amount: *row.Price, Currency: settings.Currency}
	}
	if row.Stock != nil {
		inStock := *row.Stock > 0
		body.InStock = &inStock
	}
	return transform.NewDocument(&body)
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

func init() { transform.HandleWith(Settings{Currency: "EUR"}, product) }

func main() {} // is not run
