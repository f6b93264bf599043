package transform

import (
	"fmt"
	"reflect"
	"strings"
	"unsafe"
)

// fields are those of a struct, as its json tags name them.
type fields struct{ list []field }

type field struct {
	name   string
	quoted string // with quotes and colon, as it is written
	offset uintptr
	read   readInto
	write  writeFrom
	omits  func(unsafe.Pointer) bool // nil: it is always written
}

// fieldsOf gives false for what is left to encoding/json: embedded pointers, and the tag's option "string".
func fieldsOf(t reflect.Type) (*fields, bool) {
	all := &fields{}
	return all, all.add(t, 0)
}

func (f *fields) add(t reflect.Type, base uintptr) bool {
	for i := range t.NumField() {
		of := t.Field(i)
		tag, options, _ := strings.Cut(of.Tag.Get("json"), ",")
		options = "," + options + ","
		switch {
		case of.Tag.Get("json") == "-":
			continue
		case of.Anonymous && tag == "" && of.Type.Kind() == reflect.Struct:
			if !f.add(of.Type, base+of.Offset) {
				return false
			}
			continue
		case of.Anonymous && tag == "" && of.Type.Kind() == reflect.Pointer, strings.Contains(options, ",string,"):
			return false
		case !of.IsExported():
			continue
		}
		name := tag
		if name == "" {
			name = of.Name
		}
		added := field{
			name:   name,
			quoted: string(appendText(nil, name)) + ":",
			offset: base + of.Offset,
			read:   readerOf(of.Type),
			write:  writerOf(of.Type),
		}
		if strings.Contains(options, ",omitzero,") {
			added.omits = isZero(of.Type)
		} else if strings.Contains(options, ",omitempty,") {
			added.omits = isEmpty(of.Type)
		}
		if f.find(name, 0) >= 0 {
			return false // which of two wins is a long story
		}
		f.list = append(f.list, added)
	}
	return true
}

// find is the place of a field, -1 when there is none. It looks from a place on, and around.
func (f *fields) find(name string, from int) int {
	for place := from; place < len(f.list); place++ {
		if f.list[place].name == name {
			return place
		}
	}
	for place := range min(from, len(f.list)) {
		if f.list[place].name == name {
			return place
		}
	}
	return f.findFolded(name)
}

// findFolded is for structs without tags: as in encoding/json, the column name is read into the field Name.
func (f *fields) findFolded(name string) int {
	for place := range f.list {
		if own := f.list[place].name; len(own) == len(name) && strings.EqualFold(own, name) {
			return place
		}
	}
	return -1
}

// names are for the error about another one.
func (f *fields) names() string {
	if len(f.list) == 0 {
		return ""
	}
	var names []string
	for _, field := range f.list {
		names = append(names, fmt.Sprintf("`%s`", field.name))
	}
	return ", only " + strings.Join(names, ", ")
}

// isEmpty is what omitempty asks.
func isEmpty(t reflect.Type) func(unsafe.Pointer) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map:
		return func(p unsafe.Pointer) bool {
			return *(*unsafe.Pointer)(p) == nil || (t.Kind() == reflect.Map && reflect.NewAt(t, p).Elem().Len() == 0)
		}
	case reflect.String:
		return func(p unsafe.Pointer) bool { return *(*string)(p) == "" }
	case reflect.Slice:
		return func(p unsafe.Pointer) bool { return reflect.NewAt(t, p).Elem().Len() == 0 }
	case reflect.Array:
		return func(unsafe.Pointer) bool { return t.Len() == 0 }
	case reflect.Struct:
		return nil
	}
	return func(p unsafe.Pointer) bool { return reflect.NewAt(t, p).Elem().IsZero() }
}

// isZero is what omitzero asks.
func isZero(t reflect.Type) func(unsafe.Pointer) bool {
	type zeroer interface{ IsZero() bool }
	if reflect.PointerTo(t).Implements(reflect.TypeFor[zeroer]()) {
		return func(p unsafe.Pointer) bool { return reflect.NewAt(t, p).Interface().(zeroer).IsZero() }
	}
	return func(p unsafe.Pointer) bool { return reflect.NewAt(t, p).Elem().IsZero() }
}
