package transform

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unsafe"
)

// Unavailable stands in place of a long value that did not change: Postgres does not send those again (TOAST). With
// state.keep = "rows" Rowmill fills it in before the transform sees the row; without, reject the change: a document without the
// value would overwrite the one that has it.
const Unavailable = "__debezium_unavailable_value"

// Decimal is a numeric column with all its digits. It reads what Debezium sends as a text ("12.50", decimal.handling.mode =
// string), as a number (12.5, double) and as {"scale":2,"value":"BOI="} (a column without declared scale, precise), and writes a
// JSON number with the same digits. A base64 text (precise, declared scale) does not carry its scale: [DecodeDecimal] is for that.
type Decimal string

// IsNegative tells whether it is below zero; -0.00 is not.
func (d Decimal) IsNegative() bool { return strings.HasPrefix(string(d), "-") && !d.isZero() }

// isZero is for 0, 0.00 and -0; exported, encoding/json would take it for a missing value.
func (d Decimal) isZero() bool {
	mantissa, _, _ := strings.Cut(strings.ToLower(string(d)), "e")
	return d != "" && strings.Trim(mantissa, "-0.") == ""
}

// Float is the nearest float: for sorting and scoring, not for money.
func (d Decimal) Float() float64 {
	f, _ := strconv.ParseFloat(string(d), 64)
	return f
}

// UnmarshalJSON is for encoding/json.
func (d *Decimal) UnmarshalJSON(text []byte) error {
	return readDecimal(&reader{text: string(text)}, unsafe.Pointer(d))
}

// MarshalJSON is for encoding/json.
func (d Decimal) MarshalJSON() ([]byte, error) { return writeDecimal(nil, unsafe.Pointer(&d)) }

func readDecimal(r *reader, p unsafe.Pointer) error {
	if r.null() {
		return nil
	}
	var digits string
	var err error
	if r.peek() == '{' {
		digits, err = r.variableDecimal()
	} else {
		digits, err = r.digits()
	}
	if err == nil && !isNumber(digits) {
		err = fmt.Errorf("`%s` is not a decimal number", digits)
	}
	*(*Decimal)(p) = Decimal(digits)
	return err
}

func writeDecimal(b []byte, p unsafe.Pointer) ([]byte, error) {
	digits := string(*(*Decimal)(p))
	if digits == "" {
		return append(b, "null"...), nil
	}
	if !isNumber(digits) {
		return b, fmt.Errorf("`%s` is not a decimal number", digits)
	}
	return append(b, digits...), nil
}

// variableDecimal reads Debezium's VariableScaleDecimal.
func (r *reader) variableDecimal() (string, error) {
	var variable struct {
		Scale int    `json:"scale"`
		Value string `json:"value"`
	}
	if err := readerOf(typeOf(variable))(r, unsafe.Pointer(&variable)); err != nil {
		return "", err
	}
	return DecodeDecimal(variable.Value, variable.Scale)
}

// JSON is a json or jsonb column. Debezium sends it as a text that holds JSON; JSON that is not wrapped in a text is read too.
// Written, it is the JSON itself, as it stood. Null and a missing column are empty.
type JSON string

// IsObject tells whether it is an object: search engines take no field that is now an object and now a number.
func (j JSON) IsObject() bool { return strings.HasPrefix(string(j), "{") }

// Read reads it into a value, as [Change.After] does; an error names the field.
func (j JSON) Read(into any) error { return unmarshal(string(j), into, "field") }

// Check tells what is wrong with it, if anything is: JSON that came within a text was not looked at so far.
func (j JSON) Check() error {
	for _, err := range j.Texts() {
		if err != nil {
			return err
		}
	}
	return nil
}

// Texts gives every text within it, in order, but no names of fields: the words to search for. It ends with an error where the
// JSON is broken.
func (j JSON) Texts() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if j == "" {
			return
		}
		r := reader{text: string(j)}
		done, err := r.texts(yield)
		if !done && err == nil && r.peek() != 0 {
			err = r.unexpected(r.peek(), "the end")
		}
		if err != nil {
			yield("", err)
		}
	}
}

// texts tells whether no more are wanted.
func (r *reader) texts(yield func(string, error) bool) (done bool, err error) {
	c := r.peek()
	switch c {
	case '"':
		text, err := r.string()
		return err == nil && !yield(text, nil), err
	case '{', '[':
	default:
		_, err := r.skip()
		return false, err
	}
	if err := r.open(c); err != nil {
		return false, err
	}
	more, err := r.next(c+2, true)
	for more && err == nil {
		if c == '{' {
			if _, err := r.name(); err != nil {
				return false, err
			}
		}
		if done, err = r.texts(yield); done || err != nil {
			return done, err
		}
		more, err = r.next(c+2, false)
	}
	return false, err
}

// UnmarshalJSON is for encoding/json.
func (j *JSON) UnmarshalJSON(text []byte) error {
	return readJSONColumn(&reader{text: string(text)}, unsafe.Pointer(j))
}

// MarshalJSON is for encoding/json.
func (j JSON) MarshalJSON() ([]byte, error) { return writeJSONColumn(nil, unsafe.Pointer(&j)) }

func readJSONColumn(r *reader, p unsafe.Pointer) (err error) {
	if r.null() {
		return nil
	}
	var text string
	if r.peek() == '"' {
		text, err = r.string()
	} else {
		text, err = r.skip()
	}
	*(*JSON)(p) = JSON(strings.TrimSpace(text)) // so that the first character tells what it is
	return err
}

func writeJSONColumn(b []byte, p unsafe.Pointer) ([]byte, error) {
	j := *(*JSON)(p)
	if j == "" {
		return append(b, "null"...), nil
	}
	if err := j.Check(); err != nil {
		return b, err
	}
	return append(b, j...), nil
}
