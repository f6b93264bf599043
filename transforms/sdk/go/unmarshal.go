package transform

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// A reader of our own, because encoding/json takes ten times as long in WebAssembly: made once for each type, and what it gives
// to texts are parts of the row's text. Types it does not know, it leaves to encoding/json.

// unmarshal reads text into what into points to; kind is what an error calls a field.
func unmarshal(text string, into any, kind string) error {
	r := reader{text: text}
	return r.unmarshal(into, kind)
}

func (r *reader) unmarshal(into any, kind string) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("%T is no pointer to read into", into)
	}
	err := readerOf(v.Type().Elem())(r, v.UnsafePointer())
	if err == nil && r.peek() != 0 {
		err = r.unexpected(r.peek(), "the end")
	}
	if in, ok := err.(*inField); ok {
		return fmt.Errorf("%s `%s`: %w", kind, in.path, in.err)
	}
	return err
}

// inField is an error, and where in the value it was.
type inField struct {
	path string
	err  error
}

func (in *inField) Error() string { return in.path + ": " + in.err.Error() }

func inside(name string, err error) error {
	if in, ok := err.(*inField); ok {
		return &inField{name + "." + in.path, in.err}
	}
	return &inField{name, err}
}

// readInto reads one value to a place of the type it was made for.
type readInto func(*reader, unsafe.Pointer) error

var readers sync.Map // reflect.Type → readInto

func readerOf(t reflect.Type) readInto {
	if known, ok := readers.Load(t); ok {
		return known.(readInto)
	}
	// A type may contain itself: whoever asks meanwhile gets one that looks again.
	readers.Store(t, readInto(func(r *reader, p unsafe.Pointer) error { return readerOf(t)(r, p) }))
	read := newReader(t)
	readers.Store(t, read)
	return read
}

var (
	rawMessage = reflect.TypeFor[json.RawMessage]()
	number     = reflect.TypeFor[json.Number]()
	anything   = reflect.TypeFor[any]()
	decimal    = reflect.TypeFor[Decimal]()
	jsonColumn = reflect.TypeFor[JSON]()

	reads     = reflect.TypeFor[json.Unmarshaler]()
	readsText = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func newReader(t reflect.Type) readInto {
	switch t {
	case rawMessage:
		return readRaw
	case number:
		return readNumber
	case decimal:
		return readDecimal
	case jsonColumn:
		return readJSONColumn
	case anything:
		return readAny
	}
	if pointer := reflect.PointerTo(t); pointer.Implements(reads) || pointer.Implements(readsText) {
		return readByStandard(t)
	}
	switch t.Kind() {
	case reflect.String:
		return readString
	case reflect.Bool:
		return readBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return intReader(t)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return uintReader(t)
	case reflect.Float32, reflect.Float64:
		return floatReader(t)
	case reflect.Pointer:
		return pointerReader(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 { // []byte is base64
			return sliceReader(t)
		}
	case reflect.Struct:
		if fields, ok := fieldsOf(t); ok {
			return structReader(fields)
		}
	}
	return readByStandard(t)
}

func readRaw(r *reader, p unsafe.Pointer) error {
	if r.null() {
		return nil
	}
	raw, err := r.skip()
	*(*json.RawMessage)(p) = []byte(raw)
	return err
}

func readNumber(r *reader, p unsafe.Pointer) error {
	if r.null() {
		return nil
	}
	digits, err := r.digits()
	if err == nil && !isNumber(digits) {
		err = fmt.Errorf("`%s` is no number", digits)
	}
	*(*json.Number)(p) = json.Number(digits)
	return err
}

// digits reads a number, or a text that should hold one.
func (r *reader) digits() (string, error) {
	switch c := r.peek(); {
	case c == '"':
		return r.string()
	case c == '-' || c-'0' <= 9:
		return r.number()
	}
	return "", r.wrong("a number")
}

func readString(r *reader, p unsafe.Pointer) (err error) {
	if r.peek() != '"' {
		if r.null() {
			return nil
		}
		return r.wrong("a text")
	}
	*(*string)(p), err = r.string()
	return err
}

func readBool(r *reader, p unsafe.Pointer) error {
	c := r.peek()
	if (c != 't' && c != 'f') || r.word() != nil {
		if r.null() {
			return nil
		}
		return r.wrong("true or false")
	}
	*(*bool)(p) = c == 't'
	return nil
}

func intReader(t reflect.Type) readInto {
	bits, size := t.Bits(), t.Size()
	return func(r *reader, p unsafe.Pointer) error {
		digits, err := r.plain("a whole number")
		if digits == "" || err != nil {
			return err
		}
		n, err := strconv.ParseInt(digits, 10, bits)
		if err != nil {
			return fmt.Errorf("%s is no whole number of %d bits", digits, bits)
		}
		switch size {
		case 1:
			*(*int8)(p) = int8(n)
		case 2:
			*(*int16)(p) = int16(n)
		case 4:
			*(*int32)(p) = int32(n)
		default:
			*(*int64)(p) = n
		}
		return nil
	}
}

func uintReader(t reflect.Type) readInto {
	bits, size := t.Bits(), t.Size()
	return func(r *reader, p unsafe.Pointer) error {
		digits, err := r.plain("a whole number")
		if digits == "" || err != nil {
			return err
		}
		n, err := strconv.ParseUint(digits, 10, bits)
		if err != nil {
			return fmt.Errorf("%s is no whole number from 0 of %d bits", digits, bits)
		}
		switch size {
		case 1:
			*(*uint8)(p) = uint8(n)
		case 2:
			*(*uint16)(p) = uint16(n)
		case 4:
			*(*uint32)(p) = uint32(n)
		default:
			*(*uint64)(p) = n
		}
		return nil
	}
}

func floatReader(t reflect.Type) readInto {
	bits := t.Bits()
	return func(r *reader, p unsafe.Pointer) error {
		digits, err := r.plain("a number")
		if digits == "" || err != nil {
			return err
		}
		f, err := strconv.ParseFloat(digits, bits)
		if err != nil {
			return fmt.Errorf("%s is too large for a float of %d bits", digits, bits)
		}
		if bits == 32 {
			*(*float32)(p) = float32(f)
		} else {
			*(*float64)(p) = f
		}
		return nil
	}
}

// plain reads a number that is no text; nothing when it is null.
func (r *reader) plain(wanted string) (string, error) {
	if c := r.peek(); c != '-' && c-'0' > 9 {
		if r.null() {
			return "", nil
		}
		return "", r.wrong(wanted)
	}
	return r.number()
}

func pointerReader(t reflect.Type) readInto {
	read := readerOf(t)
	return func(r *reader, p unsafe.Pointer) error {
		if r.null() {
			*(*unsafe.Pointer)(p) = nil
			return nil
		}
		var to unsafe.Pointer
		if t.Kind() == reflect.String {
			to = unsafe.Pointer(new(string)) // reflect.New takes longer, and most nullable columns are texts
		} else {
			to = reflect.New(t).UnsafePointer()
		}
		*(*unsafe.Pointer)(p) = to
		return read(r, to)
	}
}

func sliceReader(t reflect.Type) readInto {
	read, element := readerOf(t.Elem()), t.Elem()
	return func(r *reader, p unsafe.Pointer) error {
		if r.peek() != '[' {
			if r.null() {
				return nil
			}
			return r.wrong("a list")
		}
		if err := r.open('['); err != nil {
			return err
		}
		list := reflect.MakeSlice(t, 4, 4)
		count := 0
		more, err := r.next(']', true)
		for more && err == nil {
			if count == list.Len() {
				longer := reflect.MakeSlice(t, 2*count, 2*count)
				reflect.Copy(longer, list)
				list = longer
			}
			if err = read(r, unsafe.Add(list.UnsafePointer(), uintptr(count)*element.Size())); err == nil {
				count++
				more, err = r.next(']', false)
			}
		}
		reflect.NewAt(t, p).Elem().Set(list.Slice(0, count))
		return err
	}
}

func structReader(fields *fields) readInto {
	return func(r *reader, p unsafe.Pointer) error {
		if r.peek() != '{' {
			if r.null() {
				return nil
			}
			return r.wrong("an object")
		}
		if err := r.open('{'); err != nil {
			return err
		}
		place := 0
		more, err := r.next('}', true)
		for more && err == nil {
			var name string
			if name, err = r.name(); err != nil {
				return err
			}
			// Fields mostly stand in the order of the columns: look on from the last one.
			if place = fields.find(name, place); place < 0 {
				place = 0
				if r.strict {
					return inside(name, fmt.Errorf("there is no such field%s", fields.names()))
				}
				_, err = r.skip()
			} else {
				field := &fields.list[place]
				if err = field.read(r, unsafe.Add(p, field.offset)); err != nil {
					return inside(name, err)
				}
				place++
			}
			if err == nil {
				more, err = r.next('}', false)
			}
		}
		return err
	}
}

func readByStandard(t reflect.Type) readInto {
	return func(r *reader, p unsafe.Pointer) error {
		text, err := r.skip()
		if err != nil {
			return err
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if r.strict {
			decoder.DisallowUnknownFields()
		}
		return decoder.Decode(reflect.NewAt(t, p).Interface())
	}
}

// readAny reads what is not typed. Numbers keep their digits, as json.Number.
func readAny(r *reader, p unsafe.Pointer) error {
	value, err := r.any()
	*(*any)(p) = value
	return err
}

func (r *reader) any() (any, error) {
	switch c := r.peek(); c {
	case '"':
		return r.string()
	case '{':
		object := map[string]any{}
		return object, r.members(func(name string) (err error) {
			object[name], err = r.any()
			return err
		})
	case '[':
		list := []any{}
		return list, sliceReader(reflect.TypeOf(list))(r, unsafe.Pointer(&list))
	case 't', 'f':
		return c == 't', r.word()
	case 'n':
		return nil, r.word()
	}
	digits, err := r.number()
	return json.Number(digits), err
}

// members reads an object field by field.
func (r *reader) members(value func(name string) error) error {
	err := r.open('{')
	if err != nil {
		return err
	}
	more, err := r.next('}', true)
	for more && err == nil {
		var name string
		if name, err = r.name(); err == nil {
			err = value(name)
		}
		if err == nil {
			more, err = r.next('}', false)
		}
	}
	return err
}

// wrong says what stands there instead.
func (r *reader) wrong(wanted string) error {
	found, err := r.skip()
	if err != nil {
		return err
	}
	what := map[byte]string{'"': "the text ", '{': "an object", '[': "a list"}[found[0]]
	if what == "" || found[0] == '"' {
		if len(found) > 40 {
			found = strings.ToValidUTF8(found[:40], "") + "…"
		}
		what += found
	}
	return fmt.Errorf("expected %s, found %s", wanted, what)
}
