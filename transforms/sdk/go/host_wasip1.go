package transform

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// Calls to the host, as the canonical ABI has them: a text is its address and length, a result is written to an address.

//go:wasmimport wasi:logging/logging@0.1.0-draft log
func importLog(level, context, contextLength, line, length uint32)

//go:wasmimport rowmill:transform/metrics@1.0.0 count
func importCount(name, length uint32, delta uint64)

//go:wasmimport rowmill:transform/metrics@1.0.0 gauge
func importGauge(name, length uint32, value float64)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft open
func importOpen(name, length uint32, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [method]bucket.get
func importGet(bucket, key, length uint32, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [method]bucket.set
func importSet(bucket, key, length, value, valueLength uint32, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [method]bucket.delete
func importDelete(bucket, key, length uint32, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/atomics@0.2.0-draft increment
func importIncrement(bucket, key, length uint32, delta uint64, result unsafe.Pointer)

func hostLog(level uint32, line string) {
	text := lower(&line)
	importLog(level, 0, 0, text.at, text.length)
}

func hostCount(name string, delta uint64) {
	text := lower(&name)
	importCount(text.at, text.length, delta)
}

func hostGauge(name string, value float64) {
	text := lower(&name)
	importGauge(text.at, text.length, value)
}

// bucket is the store, opened once; the host closes it with the instance.
var bucket struct {
	open   bool
	handle uint32
	// result is where the host writes: a tag, and what belongs to it at the first or (a sum) second pair of words.
	result [6]uint32
}

// onStore calls the host with a key. An error's parts begin at a word of the result.
func onStore(key string, at int, call func(key span)) error {
	if !bucket.open {
		name := "default"
		text := lower(&name)
		importOpen(text.at, text.length, unsafe.Pointer(&bucket.result))
		if err := storeError(1); err != nil {
			return err
		}
		bucket.open, bucket.handle = true, bucket.result[1]
	}
	call(lower(&key))
	return storeError(at)
}

func storeError(at int) error {
	if uint8(bucket.result[0]) == 0 {
		return nil
	}
	switch uint8(bucket.result[at]) {
	case 0:
		return ErrNoStore
	case 1:
		return errors.New("the key-value store: access denied")
	}
	return fmt.Errorf("the key-value store: %s", strings.Clone(span{bucket.result[at+1], bucket.result[at+2]}.view()))
}

func storeGet(key string) ([]byte, bool, error) {
	defer arguments.upTo(arguments.used) // what the host writes for this call is copied
	err := onStore(key, 1, func(key span) { importGet(bucket.handle, key.at, key.length, unsafe.Pointer(&bucket.result)) })
	if err != nil || uint8(bucket.result[1]) == 0 {
		return nil, false, err
	}
	return []byte(span{bucket.result[2], bucket.result[3]}.view()), true, nil
}

// heldValue is what held is for texts.
var heldValue []byte

func storeSet(key string, value []byte) error {
	defer arguments.upTo(arguments.used)
	heldValue = value
	at := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(value))))
	return onStore(key, 1, func(key span) {
		importSet(bucket.handle, key.at, key.length, at, uint32(len(value)), unsafe.Pointer(&bucket.result))
	})
}

func storeDelete(key string) error {
	defer arguments.upTo(arguments.used)
	return onStore(key, 1, func(key span) { importDelete(bucket.handle, key.at, key.length, unsafe.Pointer(&bucket.result)) })
}

func storeIncrement(key string, delta uint64) (uint64, error) {
	defer arguments.upTo(arguments.used)
	err := onStore(key, 2, func(key span) {
		importIncrement(bucket.handle, key.at, key.length, delta, unsafe.Pointer(&bucket.result))
	})
	return uint64(bucket.result[3])<<32 | uint64(bucket.result[2]), err
}
