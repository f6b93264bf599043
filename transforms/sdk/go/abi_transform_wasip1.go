//go:build !aggregate

package transform

import (
	"errors"
	"unsafe"
)

// What the world rowmill:transform/transform exports beside init.

func fits(h *handler) error {
	if h.aggregates {
		return errors.New("the module is an aggregate, but was built as a transform: build it with `go build -tags aggregate`")
	}
	return nil
}

//go:wasmexport transform
func exportTransform(changes, length uint32) unsafe.Pointer {
	return batch(func(outputs *Outputs) span {
		eachChange(changes, length, func(place uint32) {
			outputs.change = place
			handling.run(&change, outputs)
		})
		return lowerOutputs(outputs.actions)
	})
}
