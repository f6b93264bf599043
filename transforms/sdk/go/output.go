package transform

import (
	"errors"
	"strings"
)

// Document is to be written. Its version is the host's affair.
type Document struct {
	ID      string // default: the row's key as text
	Index   string // default: the pipeline's
	Routing string // documents with the same one share a shard
	body    string
}

// NewDocument makes a document of anything that becomes a JSON object: a struct with json tags (by pointer), a map.
func NewDocument(body any) (*Document, error) {
	text, err := marshal(body)
	if err != nil {
		return nil, err
	}
	if text[0] != '{' {
		return nil, errors.New("a document must be a JSON object")
	}
	return &Document{body: text}, nil
}

// NewDocumentText makes a document of JSON text, which is not looked at: one object.
func NewDocumentText(body string) *Document {
	return &Document{body: strings.ToValidUTF8(body, "\uFFFD")}
}

// Body is the document's JSON text.
func (d *Document) Body() string { return d.body }

// Documents are all written; those that the row had produced before and that are not among them are deleted.
type Documents []*Document

// DocumentRef is a document to be deleted. Seldom needed: what a row produced before and does not produce now, the host deletes.
type DocumentRef struct{ ID, Index, Routing string }

// Message is something to be sent on, apart from the documents.
type Message struct {
	Topic string
	Key   string // messages with the same one stay in order
	body  string
}

// NewMessage makes a message of anything that becomes JSON.
func NewMessage(topic string, body any) (*Message, error) {
	text, err := marshal(body)
	if err != nil {
		return nil, err
	}
	return &Message{Topic: topic, body: text}, nil
}

// Outputs are several things to be done for one change, of any kind.
type Outputs struct {
	actions []action
	change  uint32
}

// Index writes a document.
func (o *Outputs) Index(d *Document) {
	o.actions = append(o.actions, action{kind: index, id: d.ID, index: d.Index, routing: d.Routing, body: d.body})
}

// Delete deletes a document.
func (o *Outputs) Delete(d *DocumentRef) {
	o.actions = append(o.actions, action{kind: remove, id: d.ID, index: d.Index, routing: d.Routing})
}

// Emit sends a message.
func (o *Outputs) Emit(m *Message) {
	o.actions = append(o.actions, action{kind: emit, id: m.Topic, index: m.Key, body: m.body})
}

// of takes what a call puts for one change (or row), or its error.
func (o *Outputs) of(call func() error) {
	first := len(o.actions)
	if err := guarded(call); err != nil {
		o.actions = append(o.actions, action{kind: reject, body: err.Error()})
	}
	for place := range o.actions[first:] {
		o.actions[first+place].change = o.change
	}
}

func (d *Document) put(outputs *Outputs) {
	if d != nil {
		outputs.Index(d)
	}
}

func (ds Documents) put(outputs *Outputs) {
	for _, d := range ds {
		d.put(outputs)
	}
}

func (m *Message) put(outputs *Outputs) {
	if m != nil {
		outputs.Emit(m)
	}
}

func (o *Outputs) put(outputs *Outputs) {
	if o != nil {
		outputs.actions = append(outputs.actions, o.actions...)
	}
}

// The order is the contract's.
const (
	index = iota
	remove
	emit
	reject
)

// action is one output as it is handed over. A message's topic is its id, its key is its index; a reason is a body.
type action struct {
	kind               uint32
	change             uint32
	id, index, routing string
	body               string
}
