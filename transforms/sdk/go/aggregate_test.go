//go:build !wasip1

package transform

import (
	"errors"
	"strings"
	"testing"
)

func aggregated(t *testing.T, lines []string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestWhatAChangeCountsFor(t *testing.T) {
	row := TestRow("public.t", `{"id":7}`)
	measured := func(changes ...Change) string {
		lines, err := TestMeasure("", changes...)
		return aggregated(t, lines, err)
	}
	handling = nil
	Aggregate(func(change *Change) (*Measure, error) {
		switch change.AfterText() {
		case "nothing":
			return nil, nil
		case "panic":
			panic("odd")
		case "literal":
			return &Measure{Key: "a"}, nil
		case "error":
			return NewMeasure("a"), errors.New("no")
		}
		return NewMeasure("a"), nil
	})
	of := func(text string) Change { return Change{after: text} }
	lines := measured(row, TestDeleted("t", "{}"), of("nothing"), of("panic"), of("literal"), of("error"), row)
	place := lines[strings.Index(lines, "panic: odd")+len("panic: odd"):]
	lines = strings.Replace(lines, place[:strings.Index(place, `"`)], "", 1)
	equal(t, lines, `{"change":0,"action":"measure","key":"a","weight":1}
{"change":3,"action":"reject","reason":"panic: odd"}
{"change":4,"action":"reject","reason":"a measure was not made by transform.NewMeasure: its Weight would be 0 where it is not set"}
{"change":5,"action":"reject","reason":"no"}
{"change":6,"action":"measure","key":"a","weight":1}`)
	handling = nil
	Aggregate(func(*Change) (Measures, error) {
		full := NewMeasure("b\"")
		full.TimeMs, full.Weight, full.Distinct = 1_795_219_201_000, -0.1, "u1"
		return Measures{full, nil, NewMeasure("c")}, nil
	})
	equal(t, measured(row), `{"change":0,"action":"measure","key":"b\"","time_ms":1795219201000,"weight":-0.1,"distinct":"u1"}
{"change":0,"action":"measure","key":"c","weight":1}`)
	// One that cannot be used takes those before it along.
	handling = nil
	Aggregate(func(*Change) (Measured, error) { return Measures{NewMeasure("a"), {}}, nil })
	equal(t, measured(row)[:30], `{"change":0,"action":"reject",`)
	handling = nil
	Aggregate(func(*Change) (Measured, error) { return nil, nil })
	equal(t, measured(row), "")
}

func TestRowsOfWindowsBecomeDocuments(t *testing.T) {
	distinct, score := uint64(0), 0.5
	rows := []WindowRow{
		{
			Window: &Span{1_795_219_200_000, 1_795_219_260_500}, Key: `la"ptop`, Rank: 1, Count: 2, Sum: "12345678901.123456789", Min: "0.1",
			Max: "7", Average: "1.50", Distinct: &distinct, Score: &score,
		},
		{Key: "k", Count: 1, Sum: "0"},
	}
	rendered := func(config string) string {
		lines, err := TestRender(config, rows...)
		return aggregated(t, lines, err)
	}
	measure := func(*Change) (*Measure, error) { return nil, nil }
	handling = nil
	Aggregate(measure)
	equal(t, rendered(""), `{"change":0,"action":"index","body":{"key":"la\"ptop","window_start":"2026-11-21T00:00:00Z",`+
		`"window_end":"2026-11-21T00:01:00.500Z","rank":1,"count":2,"sum":12345678901.123456789,"min":0.1,"max":7,"average":1.50,"distinct":0,"score":0.5}}
{"change":1,"action":"index","body":{"key":"k","count":1,"sum":0}}`)
	handling = nil
	Aggregate(measure, Render(func(row *WindowRow) (Answer, error) {
		if row.Window == nil {
			return nil, errors.New("no window")
		}
		return &Document{ID: row.Key, body: "{}"}, nil
	}))
	equal(t, rendered(""), `{"change":0,"action":"index","id":"la\"ptop","body":{}}
{"change":1,"action":"reject","reason":"no window"}`)
	handling = nil
	AggregateWith(settings{Currency: "EUR"}, func(*Change, *settings) (*Measure, error) { return nil, nil },
		RenderWith(func(row *WindowRow, s *settings) (*Document, error) { return NewDocument(s) }))
	equal(t, rendered(`{"currency":"CHF"}`)[:67], `{"change":0,"action":"index","body":{"currency":"CHF","limits":null`)
	if _, err := TestRender(`{"curency":"CHF"}`); err == nil || !strings.Contains(err.Error(), "setting `curency`: there is no such field") {
		t.Error(err)
	}
}

func TestAModuleIsOneOfTheTwo(t *testing.T) {
	handling = nil
	Aggregate(func(*Change) (*Measure, error) { return nil, nil })
	if _, err := TestRun(""); err == nil {
		t.Error("an aggregate was run as a transform")
	}
	Handle(func(*Change) (*Document, error) { return nil, nil })
	if _, err := TestMeasure(""); err == nil || !strings.Contains(err.Error(), "called twice") {
		t.Error(err)
	}
	Register(func(*Change) (*Document, error) { return nil, nil })
	if _, err := TestMeasure(""); err == nil {
		t.Error("a transform was run as an aggregate")
	}
}
