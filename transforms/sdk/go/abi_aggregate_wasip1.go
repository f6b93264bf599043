//go:build aggregate

package transform

import (
	"errors"
	"strings"
	"unsafe"
)

// What the world rowmill:transform/aggregate exports beside init.

func fits(h *handler) error {
	if !h.aggregates {
		return errors.New("the module is a transform, but was built as an aggregate: build it without `-tags aggregate`")
	}
	return nil
}

// measured is kept until the next call, as answered is.
var measured struct {
	list    measurements
	records []measurement
}

//go:wasmexport measure
func exportMeasure(changes, length uint32) unsafe.Pointer {
	return batch(func(*Outputs) span {
		list := &measured.list
		clear(list.list)
		list.list = list.list[:0]
		eachChange(changes, length, func(place uint32) {
			list.change = place
			handling.weigh(&change, list)
		})
		return lowermeasurements(list.list)
	})
}

//go:wasmexport render
func exportRender(rows, length uint32) unsafe.Pointer {
	return batch(func(outputs *Outputs) span {
		for place, lowered := range unsafe.Slice((*loweredRow)(unsafe.Add(nil, rows)), length) {
			row := lowered.lift()
			outputs.change = uint32(place)
			handling.show(&row, outputs)
		}
		return lowerOutputs(outputs.actions)
	})
}

// loweredRow is a row of a window as it lies in memory.
type loweredRow struct {
	window            optional[Span]
	key               span
	rank              optional[uint32]
	final             bool
	count             uint64
	sum               span
	min, max, average option
	distinct          optional[uint64]
	score             optional[float64]
}

// optional is an option of what is no text.
type optional[T any] struct {
	some  uint8
	value T
}

func (o optional[T]) lift() *T {
	if o.some == 0 {
		return nil
	}
	return &o.value
}

func (l *loweredRow) lift() WindowRow {
	row := WindowRow{
		Window:   l.window.lift(),
		Key:      strings.Clone(l.key.view()),
		Final:    l.final,
		Count:    l.count,
		Sum:      Decimal(strings.Clone(l.sum.view())),
		Min:      Decimal(strings.Clone(l.min.view())),
		Max:      Decimal(strings.Clone(l.max.view())),
		Average:  Decimal(strings.Clone(l.average.view())),
		Distinct: l.distinct.lift(),
		Score:    l.score.lift(),
	}
	if rank := l.rank.lift(); rank != nil {
		row.Rank = *rank
	}
	return row
}

// measurement is one as it lies in memory: of a measure, or of a reason, which is its text.
type measurement struct {
	change      uint32
	_           uint32
	kind        uint32
	_           uint32
	text        span
	timed       uint32
	_           uint32
	timeMs      uint64
	weight      float64
	distinct    uint32
	distinctive span
	_           uint32
}

func lowermeasurements(list []counted) span {
	measured.records = append(measured.records[:0], make([]measurement, len(list))...)
	for place := range list {
		counted, record := &list[place], &measured.records[place]
		record.change = counted.change
		if counted.rejected {
			record.kind = 1
		}
		record.text = lower(&counted.Key)
		record.weight = counted.Weight
		if counted.TimeMs != 0 {
			record.timed, record.timeMs = 1, counted.TimeMs
		}
		if counted.Distinct != "" {
			record.distinct, record.distinctive = 1, lower(&counted.Distinct)
		}
	}
	return span{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(measured.records)))), uint32(len(list))}
}
