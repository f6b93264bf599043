package transform

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"
)

// The other way: see unmarshal.go. The same value always gives the same text, for a document that did not change is not
// written again.

// roomMax keeps one huge document from making every later one reserve as much.
const roomMax = 16 << 10

// room is what the last document took: documents of one transform are of like size.
var room atomic.Int64

// marshal gives the JSON text of any value.
func marshal(value any) (string, error) {
	text, err := appendAny(make([]byte, 0, room.Load()+64), value)
	if err != nil {
		return "", err
	}
	room.Store(int64(min(len(text), roomMax)))
	return unsafe.String(unsafe.SliceData(text), len(text)), nil
}

// writeFrom appends the value at a place of the type it was made for.
type writeFrom func([]byte, unsafe.Pointer) ([]byte, error)

var writers sync.Map // reflect.Type → writeFrom

func writerOf(t reflect.Type) writeFrom {
	if known, ok := writers.Load(t); ok {
		return known.(writeFrom)
	}
	writers.Store(t, writeFrom(func(b []byte, p unsafe.Pointer) ([]byte, error) { return writerOf(t)(b, p) }))
	write := newWriter(t)
	writers.Store(t, write)
	return write
}

var (
	writes     = reflect.TypeFor[json.Marshaler]()
	writesText = reflect.TypeFor[encoding.TextMarshaler]()
)

func newWriter(t reflect.Type) writeFrom {
	switch t {
	case rawMessage:
		return writeRaw
	case number:
		return writeNumber
	case decimal:
		return writeDecimal
	case jsonColumn:
		return writeJSONColumn
	case anything:
		return func(b []byte, p unsafe.Pointer) ([]byte, error) { return appendAny(b, *(*any)(p)) }
	}
	if pointer := reflect.PointerTo(t); pointer.Implements(writes) || pointer.Implements(writesText) {
		return writeByStandard(t)
	}
	switch t.Kind() {
	case reflect.String:
		return func(b []byte, p unsafe.Pointer) ([]byte, error) { return appendText(b, *(*string)(p)), nil }
	case reflect.Bool:
		return func(b []byte, p unsafe.Pointer) ([]byte, error) { return strconv.AppendBool(b, *(*bool)(p)), nil }
	case reflect.Int, reflect.Int64:
		return func(b []byte, p unsafe.Pointer) ([]byte, error) { return strconv.AppendInt(b, *(*int64)(p), 10), nil }
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return func(b []byte, p unsafe.Pointer) ([]byte, error) {
			return strconv.AppendInt(b, reflect.NewAt(t, p).Elem().Int(), 10), nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(b []byte, p unsafe.Pointer) ([]byte, error) {
			return strconv.AppendUint(b, reflect.NewAt(t, p).Elem().Uint(), 10), nil
		}
	case reflect.Float32, reflect.Float64:
		return func(b []byte, p unsafe.Pointer) ([]byte, error) {
			return appendFloat(b, reflect.NewAt(t, p).Elem().Float(), t.Bits())
		}
	case reflect.Pointer:
		return pointerWriter(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 { // []byte is base64
			return sliceWriter(t)
		}
	case reflect.Map:
		if t.Key().Kind() == reflect.String && !t.Key().Implements(writesText) {
			return mapWriter(t)
		}
	case reflect.Struct:
		if fields, ok := fieldsOf(t); ok {
			return structWriter(fields)
		}
	}
	return writeByStandard(t)
}

// appendAny appends a value of any type: what a document is mostly made of first, without reflection.
func appendAny(b []byte, value any) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return appendText(b, value), nil
	case bool:
		return strconv.AppendBool(b, value), nil
	case int:
		return strconv.AppendInt(b, int64(value), 10), nil
	case map[string]any:
		return appendMap(b, value)
	}
	v := reflect.ValueOf(value)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		return writerOf(v.Type().Elem())(b, v.UnsafePointer())
	}
	copied := reflect.New(v.Type())
	copied.Elem().Set(v)
	return writerOf(v.Type())(b, copied.UnsafePointer())
}

func writeRaw(b []byte, p unsafe.Pointer) ([]byte, error) {
	raw := *(*json.RawMessage)(p)
	if len(raw) == 0 {
		return append(b, "null"...), nil
	}
	return append(b, raw...), nil
}

func writeNumber(b []byte, p unsafe.Pointer) ([]byte, error) {
	digits := string(*(*json.Number)(p))
	if digits == "" {
		digits = "0" // as in encoding/json
	}
	if !isNumber(digits) {
		return b, fmt.Errorf("`%s` is no number", digits)
	}
	return append(b, digits...), nil
}

func appendFloat(b []byte, f float64, bits int) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b, fmt.Errorf("JSON has no number %v", f)
	}
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, bits), nil
}

func pointerWriter(t reflect.Type) writeFrom {
	write := writerOf(t)
	return func(b []byte, p unsafe.Pointer) ([]byte, error) {
		to := *(*unsafe.Pointer)(p)
		if to == nil {
			return append(b, "null"...), nil
		}
		return write(b, to)
	}
}

func sliceWriter(t reflect.Type) writeFrom {
	write, size := writerOf(t.Elem()), t.Elem().Size()
	return func(b []byte, p unsafe.Pointer) (_ []byte, err error) {
		list := *(*[]struct{})(p) // of any element: only its start and length are used
		if list == nil {
			return append(b, "null"...), nil
		}
		b = append(b, '[')
		start := unsafe.Pointer(unsafe.SliceData(list))
		for i := range list {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = write(b, unsafe.Add(start, uintptr(i)*size)); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	}
}

func mapWriter(t reflect.Type) writeFrom {
	return func(b []byte, p unsafe.Pointer) ([]byte, error) {
		of := reflect.NewAt(t, p).Elem()
		if of.IsNil() {
			return append(b, "null"...), nil
		}
		values := make(map[string]any, of.Len())
		for of := of.MapRange(); of.Next(); {
			values[of.Key().String()] = of.Value().Interface()
		}
		return appendMap(b, values)
	}
}

func appendMap(b []byte, values map[string]any) (_ []byte, err error) {
	if values == nil {
		return append(b, "null"...), nil
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		if b, err = appendAny(b, values[name]); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func structWriter(fields *fields) writeFrom {
	return func(b []byte, p unsafe.Pointer) (_ []byte, err error) {
		b = append(b, '{')
		empty := len(b)
		for i := range fields.list {
			field := &fields.list[i]
			at := unsafe.Add(p, field.offset)
			if field.omits != nil && field.omits(at) {
				continue
			}
			if len(b) > empty {
				b = append(b, ',')
			}
			b = append(b, field.quoted...)
			if b, err = field.write(b, at); err != nil {
				return b, inside(field.name, err)
			}
		}
		return append(b, '}'), nil
	}
}

func writeByStandard(t reflect.Type) writeFrom {
	return func(b []byte, p unsafe.Pointer) ([]byte, error) {
		text, err := json.Marshal(reflect.NewAt(t, p).Interface())
		return append(b, text...), err
	}
}

const hex = "0123456789abcdef"

// appendText appends a JSON text. What is no UTF-8 becomes U+FFFD: the host takes no other text.
func appendText(b []byte, text string) []byte {
	b = append(b, '"')
	from := 0
	for at := 0; at < len(text); {
		c := text[at]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			at++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(text[at:]); r != utf8.RuneError || size > 1 {
				at += size
				continue
			}
		}
		b = append(b, text[from:at]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c >= utf8.RuneSelf:
			b = append(b, "\uFFFD"...)
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		at++
		from = at
	}
	return append(append(b, text[from:]...), '"')
}
