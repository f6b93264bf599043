//go:build !wasip1

package transform

import (
	"encoding/json"
	"errors"
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
	if handling.aggregates {
		return nil, errors.New("an aggregate was registered: TestMeasure and TestRender run it")
	}
	var outputs Outputs
	for place := range changes {
		change := changes[place]
		outputs.change = uint32(place)
		handling.run(&change, &outputs)
	}
	return outputs.lines(), nil
}

// TestMeasure runs the registered aggregate natively, as Rowmill would: settings first, then one batch. It gives what the changes
// count for: a JSON object each.
func TestMeasure(config string, changes ...Change) ([]string, error) {
	if err := startAggregate(config); err != nil {
		return nil, err
	}
	var all measurements
	for place := range changes {
		change := changes[place]
		all.change = uint32(place)
		handling.weigh(&change, &all)
	}
	var lines []string
	for place := range all.list {
		lines = append(lines, all.list[place].line())
	}
	return lines, nil
}

// TestRender gives what the registered aggregate makes of rows of windows, as [TestRun] gives its outputs; change is the row's place.
func TestRender(config string, rows ...WindowRow) ([]string, error) {
	if err := startAggregate(config); err != nil {
		return nil, err
	}
	var outputs Outputs
	for place := range rows {
		outputs.change = uint32(place)
		handling.show(&rows[place], &outputs)
	}
	return outputs.lines(), nil
}

func startAggregate(config string) error {
	if err := start(config); err != nil {
		return err
	}
	if !handling.aggregates {
		return errors.New("a transform was registered: TestRun runs it")
	}
	return nil
}

func (c *counted) line() string {
	if c.rejected {
		return fmt.Sprintf(`{"change":%d,"action":"reject","reason":%s}`, c.change, appendText(nil, c.Key))
	}
	line := fmt.Sprintf(`{"change":%d,"action":"measure","key":%s`, c.change, appendText(nil, c.Key))
	if c.TimeMs != 0 {
		line += fmt.Sprintf(`,"time_ms":%d`, c.TimeMs)
	}
	line += fmt.Sprintf(`,"weight":%v`, c.Weight)
	if c.Distinct != "" {
		line += `,"distinct":` + string(appendText(nil, c.Distinct))
	}
	return line + "}"
}

func (o *Outputs) lines() []string {
	var lines []string
	for place := range o.actions {
		lines = append(lines, o.actions[place].line())
	}
	return lines
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
