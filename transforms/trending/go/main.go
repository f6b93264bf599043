// What people search for, word by word, in windows of time: searches in, the words searched for most out.
package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rowmill.dev/transform"
)

// rankMax: who looks at trends looks at the first ones.
const rankMax = 10

// Settings are the pipeline's transform.config.
type Settings struct {
	Ignore []string `json:"ignore"` // words that say nothing
}

// Search is one, as it was logged.
type Search struct {
	Query   *string `json:"query"`
	At      *uint64 `json:"at"` // milliseconds since 1970
	User    string  `json:"user"`
	Results int64   `json:"results"`
}

// Keyword is what the index holds.
type Keyword struct {
	Keyword  string  `json:"keyword"`
	Searches uint64  `json:"searches"`
	Users    *uint64 `json:"users,omitempty"`
	Rank     uint32  `json:"rank,omitempty"`
	From     string  `json:"from,omitempty"`
}

func search(change *transform.Change, settings *Settings) (transform.Measures, error) {
	var row Search
	if err := change.After(&row); err != nil || row.Query == nil {
		return nil, err
	}
	if row.Results < 0 {
		return nil, fmt.Errorf("the number of results is negative: %d", row.Results)
	}
	if row.At == nil {
		return nil, errors.New("the search has no time: at is missing")
	}
	var measures transform.Measures
	for _, word := range words(*row.Query) {
		if !slices.Contains(settings.Ignore, word) {
			measure := transform.NewMeasure(word)
			measure.TimeMs, measure.Distinct = *row.At, row.User
			measures = append(measures, measure)
		}
	}
	return measures, nil
}

func keyword(row *transform.WindowRow, _ *Settings) (*transform.Document, error) {
	if row.Rank > rankMax {
		return nil, nil
	}
	if strings.Trim(row.Key, "0123456789") == "" {
		return nil, fmt.Errorf("a number is no keyword: %s", row.Key)
	}
	document := Keyword{Keyword: row.Key, Searches: row.Count, Users: row.Distinct, Rank: row.Rank}
	if row.Window != nil {
		document.From = row.Window.Start()
	}
	return transform.NewDocument(&document)
}

// words are letters and digits of ASCII, lower-cased, at least two in a row; each once, in order.
func words(query string) []string {
	var words []string
	for word := range strings.FieldsFuncSeq(query, parts) {
		word = strings.ToLower(word)
		if len(word) >= 2 && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

func parts(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func init() { transform.AggregateWith(Settings{}, search, transform.RenderWith(keyword)) }

func main() {}
