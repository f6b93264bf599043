//go:build !wasip1

package transform

import (
	"encoding/json"
	"fmt"
)

// TestRow is an inserted row, for [TestRun]; its key is its column id.
func TestRow(table, row string) Change {
	var id struct {
		ID json.RawMessage `json:"id"`
	}
	key := "null"
	if unmarshal(row, &id, "column") == nil && len(id.ID) > 0 {
		key = `{"id":` + string(id.ID) + `}`
	}
	return Change{Operation: Create, Source: "test", Table: table, Version: Version{1, 1}, key: key, after: row}
}

// TestDeleted is a deleted row, for [TestRun]: its key as an object.
func TestDeleted(table, key string) Change {
	return Change{Operation: Delete, Source: "test", Table: table, Version: Version{1, 1}, key: key}
}

// TestRun runs the registered function natively, as Rowmill would: settings first, then one batch. It gives the outputs as
// rowmill test prints them: a JSON object each.
func TestRun(config string, changes ...Change) ([]string, error) {
	if err := start(config); err != nil {
		return nil, err
	}
	var outputs Outputs
	for place := range changes {
		change := changes[place]
		outputs.change = uint32(place)
		handling.run(&change, &outputs)
	}
	var lines []string
	for place := range outputs.actions {
		lines = append(lines, outputs.actions[place].line())
	}
	return lines, nil
}

func (a *action) line() string {
	names := [...][]string{index: {"id", "index", "routing"}, remove: {"id", "index", "routing"}, emit: {"topic", "key"}, reject: {}}
	line := fmt.Sprintf(`{"change":%d,"action":"%s"`, a.change, [...]string{"index", "delete", "emit", "reject"}[a.kind])
	for place, name := range names[a.kind] {
		if value := [...]string{a.id, a.index, a.routing}[place]; value != "" {
			line += `,"` + name + `":` + string(appendText(nil, value))
		}
	}
	switch a.kind {
	case index, emit:
		line += `,"body":` + a.body
	case reject:
		line += `,"reason":` + string(appendText(nil, a.body))
	}
	return line + "}"
}

// TestCounter is what has been added to a counter so far.
func TestCounter(name string) uint64 {
	native.Lock()
	defer native.Unlock()
	return native.counters[name]
}

// TestGauge is what a gauge was set to last.
func TestGauge(name string) float64 {
	native.Lock()
	defer native.Unlock()
	return native.gauges[name]
}
