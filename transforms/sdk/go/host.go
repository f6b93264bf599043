package transform

import (
	"errors"
	"fmt"
	"log"
	"strings"
)

// What log.Print says goes to Rowmill's log too.
func init() {
	log.SetFlags(0)
	log.SetOutput(logLines{})
}

type logLines struct{}

func (logLines) Write(line []byte) (int, error) {
	hostLog(levelInfo, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// The order is that of wasi:logging.
const (
	levelDebug uint32 = iota + 1
	levelInfo
	levelWarn
	levelError
)

// LogDebug is for finding faults: shown only when the host's log is set to show it.
func LogDebug(format string, values ...any) { hostLog(levelDebug, fmt.Sprintf(format, values...)) }

// LogInfo says what went well; seldom of use in a transform: it is called for every row.
func LogInfo(format string, values ...any) { hostLog(levelInfo, fmt.Sprintf(format, values...)) }

// LogWarn says what is odd but could be dealt with.
func LogWarn(format string, values ...any) { hostLog(levelWarn, fmt.Sprintf(format, values...)) }

// LogError says what went wrong. A change that cannot be used is better rejected: the reason then stays with it.
func LogError(format string, values ...any) { hostLog(levelError, fmt.Sprintf(format, values...)) }

// Count adds to a counter of your own. It appears on /metrics as rowmill_guest_counter_total{pipeline,name}. A name has at most 64
// characters of a-z0-9_; others are ignored by the host. A row that is refreshed, replayed or tried by a new module is counted
// again: this counts calls, not rows.
func Count(name string, delta uint64) { hostCount(name, delta) }

// Gauge sets a gauge of your own: rowmill_guest_gauge{pipeline,name}.
func Gauge(name string, value float64) { hostGauge(name, value) }

// Store is the pipeline's key-value store (wasi:keyvalue, the bucket "default"). It changes in the write that commits the batch,
// or not at all.
var Store KeyValue

// KeyValue is the type of [Store].
type KeyValue struct{}

// ErrNoStore is what the store answers when the host has none.
var ErrNoStore = errors.New("the key-value store: there is no such store")

// Get gives the value of a key, and whether there is one.
func (KeyValue) Get(key string) ([]byte, bool, error) { return storeGet(key) }

// Set sets the value of a key.
func (KeyValue) Set(key string, value []byte) error { return storeSet(key, value) }

// Delete forgets a key.
func (KeyValue) Delete(key string) error { return storeDelete(key) }

// Increment adds to the number of a key, from 0 when there is none, and gives the sum.
func (KeyValue) Increment(key string, delta uint64) (uint64, error) {
	return storeIncrement(key, delta)
}
