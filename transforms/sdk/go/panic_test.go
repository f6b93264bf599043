//go:build !wasip1

package transform_test

import (
	"errors"
	"strings"
	"testing"

	"rowmill.dev/transform"
)

// From outside, for the place of a panic is looked for outside of the package.
func TestAnErrorOrPanicCostsOneChange(t *testing.T) {
	transform.Register(func(change *transform.Change) (*transform.Document, error) {
		var row struct{ ID int }
		if err := change.After(&row); err != nil {
			return nil, err
		}
		if row.ID == 2 {
			return nil, errors.New("no")
		}
		list := make([]int, 1)
		return transform.NewDocument(map[string]any{"id": row.ID, "x": list[row.ID]})
	})
	lines, err := transform.TestRun("", transform.TestRow("t", `{"id":0}`), transform.TestRow("t", `{"id":1}`), transform.TestRow("t", `{"id":2}`), transform.TestRow("t", `{"id":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(lines, "\n")
	place := got[strings.Index(got, "panic_test.go:"):][:len("panic_test.go:00")]
	wanted := `{"change":0,"action":"index","body":{"id":0,"x":0}}
{"change":1,"action":"reject","reason":"panic: runtime error: index out of range [1] with length 1 (` + place + `)"}
{"change":2,"action":"reject","reason":"no"}
{"change":3,"action":"reject","reason":"column ` + "`id`" + `: expected a whole number, found the text \"x\""}`
	if got != wanted {
		t.Errorf("\n   got %s\nwanted %s", got, wanted)
	}
}
