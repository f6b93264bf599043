// Package transform is for writing a Rowmill transform: one function from a database row to a search document.
//
//	package main
//
//	import "rowmill.dev/transform"
//
//	type Product struct {
//		ID   int64  `json:"id"`
//		Name string `json:"name"`
//	}
//
//	type Document struct {
//		ProductID int64  `json:"product_id"`
//		Title     string `json:"title"`
//	}
//
//	func product(change *transform.Change) (*transform.Document, error) {
//		var row Product
//		if err := change.After(&row); err != nil {
//			return nil, err
//		}
//		return transform.NewDocument(&Document{ProductID: row.ID, Title: row.Name})
//	}
//
//	func init() { transform.Handle(product) }
//
//	func main() {}
//
// An error rejects that change alone: it becomes a dead letter with the error as its reason.
package transform

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"runtime"
	"strings"
)

// Answer is what a transform's function may return: *[Document], [Documents], *[Message] or *[Outputs]. Nil is no output at all:
// the document that the row had produced is deleted.
type Answer interface{ put(*Outputs) }

// Option changes how the function is called.
type Option func(*handler)

// Deletes has the function called for deleted rows too. Without it the host deletes what the row had produced.
func Deletes() Option { return func(h *handler) { h.deletes = true } }

// Handle registers the function that makes documents of changes. Call it in func init(): a module's main is never run.
// Such a transform has no settings, and refuses any.
func Handle[A Answer](function func(*Change) (A, error), options ...Option) {
	HandleWith(struct{}{}, func(change *Change, _ *struct{}) (A, error) { return function(change) }, options...)
}

// HandleWith registers a function with settings: a struct into which the pipeline's transform.config is read, once. What the
// configuration does not say stays as in defaults, and a setting that the struct does not have is refused. A method
// Validate() error of the settings may refuse more.
func HandleWith[S any, A Answer](defaults S, function func(*Change, *S) (A, error), options ...Option) {
	h := &handler{}
	for _, option := range options {
		option(h)
	}
	register(h, defaults, func(settings *S) {
		h.call = func(change *Change, outputs *Outputs) error {
			answer, err := function(change, settings)
			if err == nil && any(answer) != nil {
				answer.put(outputs)
			}
			return err
		}
	})
}

// register takes what a module is made of; with has the settings once they are read.
func register[S any](h *handler, defaults S, with func(*S)) {
	if handling != nil {
		handling.twice = true
		return
	}
	handling = h
	h.init = func(config string) error {
		settings := defaults
		if err := readSettings(config, &settings); err != nil {
			return err
		}
		with(&settings)
		return nil
	}
}

// handler is what was registered, with its types behind closures: a transform has call, an aggregate the two others.
type handler struct {
	init       func(config string) error
	call       func(*Change, *Outputs) error
	measure    func(*Change, *measurements) error
	render     func(*WindowRow, *Outputs) error
	aggregates bool
	deletes    bool
	twice      bool
}

var handling *handler

// start is called once for each instance.
func start(config string) error {
	switch {
	case handling == nil:
		return errors.New("no function was registered: call transform.Handle, transform.Aggregate or their variants with settings in func init(), not in func main()")
	case handling.twice:
		return errors.New("transform.Handle or transform.Aggregate was called twice: a module is one transform or one aggregate")
	}
	if err := fits(handling); err != nil {
		return err
	}
	return handling.init(config)
}

// run gives one change to the function. Outputs are put only when it has returned without an error.
func (h *handler) run(change *Change, outputs *Outputs) {
	if change.Operation == Delete && !h.deletes {
		return
	}
	outputs.of(func() error { return h.call(change, outputs) })
}

// guarded makes an error of a panic: it should cost one change, not the instance.
func guarded(call func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("panic: %v%s", panicked, place())
		}
	}()
	return call()
}

// place is where the user's code stood when it panicked: the first frame that is neither the runtime's nor ours.
func place() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	here := reflect.TypeFor[handler]().PkgPath() + "."
	for {
		frame, more := frames.Next()
		if frame.File != "" && !strings.HasPrefix(frame.Function, "runtime.") && !strings.HasPrefix(frame.Function, here) {
			return fmt.Sprintf(" (%s:%d)", path.Base(frame.File), frame.Line)
		}
		if !more {
			return ""
		}
	}
}
