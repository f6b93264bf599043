package transform

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"unsafe"
)

// The canonical ABI of both worlds, and what keeps Go's collector within its rules. What one world alone exports is in
// abi_transform_wasip1.go and abi_aggregate_wasip1.go: a module has one of them.
//
// While the host writes arguments (cabi_realloc), a component must not call out; and a collection reads the clock, which is a
// call. So none may begin or be under way there: the collector works within the call of a batch only, see collector.

const (
	// argumentsMax holds the arguments of the largest batch: 4 MiB of rows, in 1,000 changes; and what the host answers within it.
	argumentsMax = 6 << 20
	// answerMax is the largest of those answers: a value of the store. There is always room for it, for the garbage of a batch may be
	// enough to begin a collection.
	answerMax = 1<<20 + 64
	// adapterMax is what the adapter of WASI preview 1 asks for, once: 64 KiB for its state, as much for its stack.
	adapterMax = 2 << 16
)

// memory is what the host writes during a call, and is free again when the call ends. It is no part of Go's heap, and not in the
// module's file: untouched pages cost nothing.
type memory struct {
	place [argumentsMax / 8]uint64 // of uint64, to be aligned
	used  uint32
	room  uint32
	// spilled is what had no room: one row of more than 4 MiB.
	spilled [][]uint64
}

var arguments = memory{room: argumentsMax - answerMax}

// take gives room, at a multiple of 8.
func (m *memory) take(bytes uint32) unsafe.Pointer {
	at := (m.used + 7) &^ 7
	if at <= m.room && bytes <= m.room-at {
		m.used = at + bytes
		return unsafe.Add(unsafe.Pointer(&m.place), at)
	}
	m.spilled = append(m.spilled, make([]uint64, (uint64(bytes)+7)/8))
	return unsafe.Pointer(unsafe.SliceData(m.spilled[len(m.spilled)-1]))
}

// upTo frees what was taken since.
func (m *memory) upTo(used uint32) { m.used = used }

func (m *memory) free() { m.used, m.room, m.spilled = 0, argumentsMax-answerMax, nil }

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldBytes, _, bytes uint32) unsafe.Pointer {
	at := arguments.take(bytes)
	if oldBytes > 0 {
		copy(unsafe.Slice((*byte)(at), bytes), unsafe.Slice((*byte)(old), oldBytes))
	}
	return at
}

var adapter struct {
	place [adapterMax / 8]uint64
	used  uint32
}

// cabi_realloc_adapter is called while Go starts: it must not allocate, and not grow the stack.
//
//go:wasmexport cabi_realloc_adapter
//go:nosplit
func cabiReallocAdapter(_ unsafe.Pointer, _, _, bytes uint32) unsafe.Pointer {
	at := adapter.used
	if bytes > adapterMax-at {
		return nil
	}
	adapter.used = (at + bytes + 7) &^ 7
	return unsafe.Add(unsafe.Pointer(&adapter.place), at)
}

// answered is what the host reads when a call has returned; it is kept until the next one.
var answered struct {
	result  result
	failure string
	outputs Outputs
	records []record
}

// result is what every export gives: a list, or a text.
type result struct {
	failed uint32
	span
}

//go:wasmexport init
func exportInit(config, length uint32) unsafe.Pointer {
	defer arguments.free()
	collect.start()
	answered.result = result{}
	if err := start(strings.Clone(span{config, length}.view())); err != nil {
		answered.failure = err.Error()
		answered.result = result{1, lower(&answered.failure)}
	}
	return unsafe.Pointer(&answered.result)
}

// batch is one call with a list, of which there may be many thousands: only within it garbage is collected.
func batch(call func(*Outputs) span) unsafe.Pointer {
	defer arguments.free()
	arguments.room = argumentsMax
	collect.allow()
	outputs := &answered.outputs
	clear(outputs.actions)
	outputs.actions = outputs.actions[:0]
	answered.result = result{0, call(outputs)}
	collect.forbid()
	return unsafe.Pointer(&answered.result)
}

// collector has Go collect garbage within the call of a batch, and nowhere else.
//
// Between the batches it collects when enough garbage has gathered. Within a batch Go begins by itself when the heap comes near
// the limit, and may still be at it when the batch is done. So the limit is so far above what is alive that this cannot have
// happened unless there is enough garbage for the collection at the end, which waits for the one under way.
type collector struct {
	last    uint64 // bytes allocated up to the last collection
	enough  uint64 // bytes allocated since then that make another one worth while
	limit   int64
	samples [2]metrics.Sample
}

const (
	// A guest has 64 MiB (transform.memory), of which the module's own data and arguments take some 10.
	garbageMin = 12 << 20
	// What Go has allocated beside its heap counts towards the limit.
	besideHeapMax = 10 << 20
)

var collect collector

func (c *collector) start() {
	c.samples[0].Name = "/gc/heap/allocs:bytes"
	c.samples[1].Name = "/memory/classes/heap/objects:bytes"
	debug.SetGCPercent(-1)
	c.measure()
	c.forbid()
}

func (c *collector) measure() {
	metrics.Read(c.samples[:])
	alive := c.samples[1].Value.Uint64()
	c.last = c.samples[0].Value.Uint64()
	c.enough = max(garbageMin, alive/2)
	// Go begins when 7/10 of the way from what is alive to the limit are gone: 1.4 times enough.
	c.limit = int64(alive + 2*c.enough + besideHeapMax)
}

func (c *collector) allow() { debug.SetMemoryLimit(c.limit) }

func (c *collector) forbid() {
	metrics.Read(c.samples[:1])
	if c.samples[0].Value.Uint64()-c.last >= c.enough {
		runtime.GC()
		c.measure()
	}
	debug.SetMemoryLimit(math.MaxInt64)
}

// span is a text or list as it lies in memory.
type span struct{ at, length uint32 }

// view is the text itself: it is gone when the call ends.
func (s span) view() string { return unsafe.String((*byte)(unsafe.Add(nil, s.at)), s.length) }

type option struct {
	some uint8
	span
}

func (o option) view() string {
	if o.some == 0 {
		return ""
	}
	return o.span.view()
}

// lowered is a change as it lies in memory.
type lowered struct {
	operation          Operation
	source, table, key span
	before, after      option
	version            Version
	tsMs               uint64
}

func (l *lowered) lift(to *Change) {
	*to = Change{
		Operation: l.operation,
		Source:    known(to.Source, l.source.view()),
		Table:     known(to.Table, l.table.view()),
		Version:   l.version,
		TsMs:      l.tsMs,
		key:       l.key.view(),
		before:    l.before.view(),
		after:     l.after.view(),
	}
}

// change is the one that the function gets, again and again.
var change Change

// eachChange lifts the changes of a batch, one after the other.
func eachChange(at, length uint32, each func(place uint32)) {
	for place, lowered := range unsafe.Slice((*lowered)(unsafe.Add(nil, at)), length) {
		lowered.lift(&change)
		each(uint32(place))
	}
}

// known spares a copy where a name is that of the change before.
func known(before, name string) string {
	if before == name {
		return before
	}
	return strings.Clone(name)
}

// held keeps what the host was given last from being freed, and from lying on the stack, which moves.
var held string

// lower gives a text to the host, which takes UTF-8 only. It must not be freed before the host has read it: a call has no need
// to see to that, an answer has.
func lower(text *string) span {
	*text = strings.ToValidUTF8(*text, "\uFFFD")
	return lowerValid(*text)
}

func lowerValid(text string) span {
	held = text
	return span{uint32(uintptr(unsafe.Pointer(unsafe.StringData(text)))), uint32(len(text))}
}

// record is an output as it lies in memory, its words those of the largest case: a document.
type record struct {
	change, kind uint32
	words        [11]uint32
}

func (r *record) option(place int, text *string) {
	if *text != "" {
		r.words[place] = 1
		r.text(place+1, lower(text))
	}
}

func (r *record) text(place int, span span) { r.words[place], r.words[place+1] = span.at, span.length }

func lowerOutputs(actions []action) span {
	answered.records = append(answered.records[:0], make([]record, len(actions))...)
	for place := range actions {
		action, record := &actions[place], &answered.records[place]
		record.change, record.kind = action.change, action.kind
		switch action.kind {
		case index, remove:
			record.option(0, &action.id)
			record.option(3, &action.index)
			record.option(6, &action.routing)
			record.text(9, lowerValid(action.body))
		case emit:
			record.text(0, lower(&action.id))
			record.option(2, &action.index)
			record.text(5, lowerValid(action.body))
		case reject:
			record.text(0, lower(&action.body))
		}
	}
	return span{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(answered.records)))), uint32(len(actions))}
}
