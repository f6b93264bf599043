package transform

import (
	"errors"
	"time"
)

// Measure is what a change counts for. It is made by [NewMeasure].
type Measure struct {
	Key      string  // what is counted: the group; at most 480 bytes
	TimeMs   uint64  // when, in milliseconds since 1970-01-01 UTC: this decides the window; 0: when the change was committed at the source
	Weight   float64 // how much; 1 counts occurrences
	Distinct string  // what the aggregate `distinct` tells apart (a user, a session); empty: nothing
	made     bool
}

// NewMeasure makes a measure of one occurrence.
func NewMeasure(key string) *Measure { return &Measure{Key: key, Weight: 1, made: true} }

// Measures are all counted.
type Measures []*Measure

// Measured is what an aggregate's function may return: *[Measure] or [Measures]. Nil counts for nothing.
type Measured interface{ measure(*measurements) error }

// measurements are what a batch counts for.
type measurements struct {
	list   []counted
	change uint32
}

// counted is a measure of one change; or a reason, which is its Key.
type counted struct {
	Measure
	change   uint32
	rejected bool
}

var errUnmade = errors.New("a measure was not made by transform.NewMeasure: its Weight would be 0 where it is not set")

func (m *Measure) measure(all *measurements) error {
	switch {
	case m == nil:
		return nil
	case !m.made:
		return errUnmade
	}
	all.list = append(all.list, counted{Measure: *m, change: all.change})
	return nil
}

func (ms Measures) measure(all *measurements) error {
	for _, m := range ms {
		if err := m.measure(all); err != nil {
			return err
		}
	}
	return nil
}

// Span is a window: from StartMs, included, to EndMs, not included; milliseconds since 1970-01-01 UTC.
type Span struct{ StartMs, EndMs uint64 }

// Start is the beginning as RFC 3339 text: 2026-11-21T00:00:00Z, with milliseconds where there are some.
func (s *Span) Start() string { return instant(s.StartMs) }

// End is the end as RFC 3339 text.
func (s *Span) End() string { return instant(s.EndMs) }

func instant(ms uint64) string {
	format := time.RFC3339
	if ms%1000 != 0 {
		format = "2006-01-02T15:04:05.000Z07:00"
	}
	return time.UnixMilli(int64(ms)).UTC().Format(format)
}

// WindowRow is one key of one window, as it stands now. What the configuration does not ask for is empty or nil.
type WindowRow struct {
	Window  *Span  // nil: the pipeline has no window, and counts the whole table
	Key     string // what was counted
	Rank    uint32 // from 1; 0: the pipeline ranks nothing
	Final   bool   // whether the window is closed: then this is the last word on it
	Count   uint64 // measures
	Sum     Decimal
	Min     Decimal // the least weight
	Max     Decimal
	Average Decimal
	// How many different values of Distinct there were.
	Distinct *uint64
	// The sum of the weights, each halved with every half-life since its time.
	Score *float64
}

// Document is what a row becomes where nothing renders it.
func (r *WindowRow) Document() (*Document, error) {
	body := struct {
		Key         string   `json:"key"`
		WindowStart string   `json:"window_start,omitempty"`
		WindowEnd   string   `json:"window_end,omitempty"`
		Rank        uint32   `json:"rank,omitempty"`
		Count       uint64   `json:"count"`
		Sum         Decimal  `json:"sum"`
		Min         Decimal  `json:"min,omitempty"`
		Max         Decimal  `json:"max,omitempty"`
		Average     Decimal  `json:"average,omitempty"`
		Distinct    *uint64  `json:"distinct,omitempty"`
		Score       *float64 `json:"score,omitempty"`
	}{
		Key: r.Key, Rank: r.Rank, Count: r.Count, Sum: r.Sum, Min: r.Min, Max: r.Max, Average: r.Average, Distinct: r.Distinct, Score: r.Score,
	}
	if r.Window != nil {
		body.WindowStart, body.WindowEnd = r.Window.Start(), r.Window.End()
	}
	return NewDocument(&body)
}

// AggregateOption changes what becomes of an aggregate with settings of the type S.
type AggregateOption[S any] func(h *handler, settings *S)

// Render has the documents of an aggregate made by a function: of each key of each window, as often as it changes. Without it they are
// what [WindowRow.Document] makes. A document without an ID gets one of window and key.
func Render[A Answer](function func(*WindowRow) (A, error)) AggregateOption[struct{}] {
	return RenderWith(func(row *WindowRow, _ *struct{}) (A, error) { return function(row) })
}

// RenderWith is [Render] with the settings of [AggregateWith].
func RenderWith[S any, A Answer](function func(*WindowRow, *S) (A, error)) AggregateOption[S] {
	return func(h *handler, settings *S) {
		h.render = func(row *WindowRow, outputs *Outputs) error {
			answer, err := function(row, settings)
			if err == nil && any(answer) != nil {
				answer.put(outputs)
			}
			return err
		}
	}
}

// Aggregate registers the function that says what a change counts for, in place of [Handle]. Such a module is built with
// `go build -tags aggregate`, and used in a pipeline with a table `window` or `aggregate`. The function is not called for deletes:
// Rowmill knows what the row had added.
func Aggregate[M Measured](measure func(*Change) (M, error), options ...AggregateOption[struct{}]) {
	AggregateWith(struct{}{}, func(change *Change, _ *struct{}) (M, error) { return measure(change) }, options...)
}

// AggregateWith is [Aggregate] with settings, as [HandleWith] has them.
func AggregateWith[S any, M Measured](defaults S, measure func(*Change, *S) (M, error), options ...AggregateOption[S]) {
	h := &handler{aggregates: true}
	register(h, defaults, func(settings *S) {
		h.measure = func(change *Change, all *measurements) error {
			answer, err := measure(change, settings)
			if err == nil && any(answer) != nil {
				err = answer.measure(all)
			}
			return err
		}
		h.render = func(row *WindowRow, outputs *Outputs) error {
			document, err := row.Document()
			if err == nil {
				outputs.Index(document)
			}
			return err
		}
		for _, option := range options {
			option(h, settings)
		}
	})
}

// weigh gives one change to the function. What it counts for stands only when it has returned without an error.
func (h *handler) weigh(change *Change, all *measurements) {
	if change.Operation == Delete {
		return
	}
	first := len(all.list)
	if err := guarded(func() error { return h.measure(change, all) }); err != nil {
		reason := counted{Measure: Measure{Key: err.Error()}, change: all.change, rejected: true}
		all.list = append(all.list[:first], reason)
	}
}

// show gives one row to the function that renders.
func (h *handler) show(row *WindowRow, outputs *Outputs) {
	outputs.of(func() error { return h.render(row, outputs) })
}
