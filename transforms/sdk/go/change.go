package transform

import (
	"errors"
	"fmt"
	"strings"
)

// Operation is what happened to a row.
type Operation uint8

const (
	Create  Operation = iota // a row was inserted
	Update                   // a row was changed
	Delete                   // a row was deleted: there is no After
	Read                     // a row was read from a snapshot: it exists, when it was made is not known
	Refresh                  // the row is as it was, but something it read, or the code, has changed
)

func (o Operation) String() string {
	return [...]string{"create", "update", "delete", "read", "refresh"}[o]
}

// Version is the place of a change in the history of its row; compared as a pair, only within one key.
type Version struct{ First, Second uint64 }

// Change is one change of one row. It is valid until the function returns; what was read from it stays.
type Change struct {
	Operation Operation
	Source    string // the name of the source, as the change events call it (Debezium's topic.prefix, or the topic)
	Table     string // schema.table (MySQL: database.table)
	Version   Version
	TsMs      uint64 // when the change was committed at the source, in milliseconds since 1970-01-01 UTC; 0 when not known

	// Memory of the call: copied before the function gets hold of it.
	key, before, after string
	copied             string // the copy of after, once made
}

var errNoRow = errors.New("a deleted row has no After")

// After reads the row as it is now into a struct, as [json.Unmarshal] would: columns that the struct does not name are skipped,
// and null leaves a field as it is. An error names the column.
func (c *Change) After(row any) error {
	text := c.AfterText()
	if text == "" {
		return errNoRow
	}
	return unmarshal(text, row, "column")
}

// Before reads the row before the change, and tells whether there is one: when the configuration says before = true and the
// source knew it.
func (c *Change) Before(row any) (bool, error) {
	text := c.BeforeText()
	if text == "" {
		return false, nil
	}
	if err := unmarshal(text, row, "column"); err != nil {
		return false, fmt.Errorf("the row before the change: %w", err)
	}
	return true, nil
}

// Key reads the key columns. A table without a key has the key null, which leaves the struct as it is.
func (c *Change) Key(key any) error { return unmarshal(c.KeyText(), key, "key column") }

// AfterText is the JSON text of the row as it is now; empty for a delete.
func (c *Change) AfterText() string {
	if c.copied == "" {
		c.copied = strings.Clone(c.after)
	}
	return c.copied
}

// BeforeText is the JSON text of the row before the change; empty when it is not given.
func (c *Change) BeforeText() string { return strings.Clone(c.before) }

// KeyText is the JSON text of the key: an object, or null.
func (c *Change) KeyText() string { return strings.Clone(c.key) }

// LacksColumns tells whether some column of the row was not sent by the database, because it is long and did not change: see
// [Unavailable]. It reads the whole text; to ask one column, compare it.
func (c *Change) LacksColumns() bool { return strings.Contains(c.after, Unavailable) }
