//go:build !wasip1

package transform

import (
	"fmt"
	"os"
	"strconv"
	"sync"
)

// Natively, for tests: lines go to the standard error, which go test shows for failed tests; counters and the store are kept
// here.

var native struct {
	sync.Mutex
	counters map[string]uint64
	gauges   map[string]float64
	store    map[string]string
}

// fits: a test may be of either world.
func fits(*handler) error { return nil }

func hostLog(level uint32, line string) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", [...]string{"trace", "debug", "info", "warn", "error"}[level], line)
}

func hostCount(name string, delta uint64) {
	native.Lock()
	defer native.Unlock()
	put(&native.counters, name, native.counters[name]+delta)
}

func hostGauge(name string, value float64) {
	native.Lock()
	defer native.Unlock()
	put(&native.gauges, name, value)
}

func storeGet(key string) ([]byte, bool, error) {
	native.Lock()
	defer native.Unlock()
	value, ok := native.store[key]
	return []byte(value), ok, nil
}

func storeSet(key string, value []byte) error {
	native.Lock()
	defer native.Unlock()
	put(&native.store, key, string(value))
	return nil
}

func storeDelete(key string) error {
	native.Lock()
	defer native.Unlock()
	delete(native.store, key)
	return nil
}

func storeIncrement(key string, delta uint64) (uint64, error) {
	native.Lock()
	defer native.Unlock()
	value, _ := strconv.ParseUint("0"+native.store[key], 10, 64)
	put(&native.store, key, strconv.FormatUint(value+delta, 10))
	return value + delta, nil
}

func put[T any](to *map[string]T, name string, value T) {
	if *to == nil {
		*to = map[string]T{}
	}
	(*to)[name] = value
}
