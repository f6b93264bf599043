//go:build !wasip1

package transform

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Register replaces the registered function.
func Register[A Answer](function func(*Change) (A, error), options ...Option) {
	handling = nil
	Handle(function, options...)
}

func lines(t *testing.T, config string, changes ...Change) string {
	t.Helper()
	lines, err := TestRun(config, changes...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func equal(t *testing.T, got, wanted string) {
	t.Helper()
	if got != wanted {
		t.Errorf("\n   got %s\nwanted %s", got, wanted)
	}
}

func TestAnswersComeInManyShapes(t *testing.T) {
	row := TestRow("public.t", `{"id":7}`)
	document := func() *Document { return NewDocumentText("{}") }
	Register(func(*Change) (*Document, error) { return document(), nil })
	equal(t, lines(t, "", row), `{"change":0,"action":"index","body":{}}`)
	Register(func(*Change) (*Document, error) { return nil, nil })
	equal(t, lines(t, "", row), "")
	Register(func(*Change) (Answer, error) { return nil, nil })
	equal(t, lines(t, "", row), "")
	Register(func(*Change) (*Document, error) { return document(), errors.New("no") })
	equal(t, lines(t, "", row), `{"change":0,"action":"reject","reason":"no"}`)
	Register(func(*Change) (Documents, error) { return Documents{document(), nil, document()}, nil })
	equal(t, lines(t, "", row), strings.Repeat(`{"change":0,"action":"index","body":{}}`+"\n", 2)[:79])
	Register(func(*Change) (Answer, error) {
		message, _ := NewMessage("sold_out", 1)
		message.Key = "k"
		outputs := &Outputs{}
		outputs.Emit(message)
		outputs.Delete(&DocumentRef{ID: "3", Index: "i"})
		return outputs, nil
	})
	equal(t, lines(t, "", row, row), `{"change":0,"action":"emit","topic":"sold_out","key":"k","body":1}
{"change":0,"action":"delete","id":"3","index":"i"}
{"change":1,"action":"emit","topic":"sold_out","key":"k","body":1}
{"change":1,"action":"delete","id":"3","index":"i"}`)
}

func TestDeletesAreTheHostsAffair(t *testing.T) {
	function := func(change *Change) (*Document, error) { return nil, change.After(&struct{}{}) }
	Register(function)
	equal(t, lines(t, "", TestDeleted("t", `{"id":1}`)), "")
	Register(function, Deletes())
	equal(t, lines(t, "", TestDeleted("t", `{"id":1}`)), `{"change":0,"action":"reject","reason":"a deleted row has no After"}`)
}

type settings struct {
	Currency string         `json:"currency"`
	Limits   map[string]int `json:"limits"`
}

func (s *settings) Validate() error {
	if s.Currency == "" {
		return errors.New("setting `currency`: it is empty")
	}
	return nil
}

func TestSettingsAreChecked(t *testing.T) {
	handling = nil
	HandleWith(settings{Currency: "EUR"}, func(_ *Change, s *settings) (*Document, error) { return NewDocument(s) })
	row := TestRow("t", "{}")
	for _, config := range []string{"", "null", "{}"} {
		equal(t, lines(t, config, row), `{"change":0,"action":"index","body":{"currency":"EUR","limits":null}}`)
	}
	equal(t, lines(t, `{"limits":{"a":1},"currency":"CHF"}`, row), `{"change":0,"action":"index","body":{"currency":"CHF","limits":{"a":1}}}`)
	for config, wanted := range map[string]string{
		`{"curency":"EUR"}`:        "transform.config: setting `curency`: there is no such field, only `currency`, `limits`",
		`{"currency":7}`:           "transform.config: setting `currency`: expected a text, found 7",
		`{"currency":""}`:          "transform.config: setting `currency`: it is empty",
		`[]`:                       "transform.config: expected an object, found a list",
		`{"currency":"EUR"} trash`: "transform.config: invalid JSON: 't' where the end should stand",
	} {
		_, err := TestRun(config)
		if err == nil {
			t.Fatal(config)
		}
		equal(t, err.Error(), wanted)
	}
	Register(func(*Change) (*Document, error) { return nil, nil })
	if _, err := TestRun(`{"a":1}`); err == nil || err.Error() != "transform.config: setting `a`: there is no such field" {
		t.Error(err)
	}
	HandleWith(settings{}, func(*Change, *settings) (*Document, error) { return nil, nil })
	if _, err := TestRun(""); err == nil {
		t.Error("a second registration went unseen")
	}
	handling = nil
	if _, err := TestRun(""); err == nil || !strings.Contains(err.Error(), "func init()") {
		t.Error(err)
	}
}

type everything struct {
	Text    string
	Pointer *string
	Bool    bool
	I8      int8
	I64     int64
	U16     uint16
	F32     float32
	F64     *float64
	List    []int
	Nested  []struct{ A, B *bool }
	Map     map[string]*int
	Any     any
	Number  json.Number
	Time    time.Time
	Bytes   []byte
	Array   [2]int
	Renamed int `json:"other"`
	Ignored int `json:"-"`
	embedded
	Empty []int `json:",omitempty"`
	Zero  int   `json:",omitzero"`
}

type embedded struct{ Inner string }

// What encoding/json reads and writes, ours does too.
func TestReadsAndWritesAsTheStandardLibraryDoes(t *testing.T) {
	texts := []string{
		`{}`, `{"Text":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83dx","POINTER":"p","pointer":"q"}`, ` { "Text" : null , "List" : [ ] } `,
		`{"Bool":true,"I8":-128,"I64":9223372036854775807,"U16":65535,"F32":1.5e3,"F64":-0.25,"other":1,"Ignored":3,"Inner":"x"}`,
		`{"List":[1,2,3,4,5,6,7,8,9],"Nested":[{"A":true},{"B":false},{"A":null}],"Map":{"b":1,"a":null},"Array":[1,2]}`,
		`{"Any":{"x":[1.50,"a",null,true,{}]},"Number":12345678901234567890.10,"Time":"2026-01-20T09:00:00Z","Bytes":"aGk="}`,
		`{"Unknown":{"deep":[[[{"a":"}"}]]]},"Text":"after","Empty":[1],"Zero":2}`,
		`{"Text":"<&>\u2028 ü 🍳"}`,
	}
	for _, text := range texts {
		var ours, theirs everything
		if err := unmarshal(text, &ours, "column"); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&theirs); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Errorf("%s:\n   got %+v\nwanted %+v", text, ours, theirs)
		}
		written, err := marshal(ours)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		standard, _ := json.Marshal(theirs)
		var again, wanted any
		if json.Unmarshal([]byte(written), &again) != nil || json.Unmarshal(standard, &wanted) != nil || !reflect.DeepEqual(again, wanted) {
			t.Errorf("\n   got %s\nwanted %s", written, standard)
		}
	}
}

func TestWhatDoesNotFitIsRefusedWithItsName(t *testing.T) {
	for text, wanted := range map[string]string{
		`{"Text":7}`:                       "column `Text`: expected a text, found 7",
		`{"I8":128}`:                       "column `I8`: 128 is no whole number of 8 bits",
		`{"I64":1.5}`:                      "column `I64`: 1.5 is no whole number of 64 bits",
		`{"U16":-1}`:                       "column `U16`: -1 is no whole number from 0 of 16 bits",
		`{"Nested":[{"A":1}]}`:             "column `Nested.A`: expected true or false, found 1",
		`{"List":{}}`:                      "column `List`: expected a list, found an object",
		`[]`:                               "expected an object, found a list",
		``:                                 "the JSON text ends too early",
		`{"Text":"a`:                       "column `Text`: the JSON text ends too early",
		`{"Text":"\x"}`:                    "column `Text`: invalid JSON: the escape \\x does not exist",
		`{"Text":"\u12"}`:                  "column `Text`: invalid JSON: four hexadecimal digits should follow \\u",
		`{"x":01}`:                         "invalid JSON: '0' where a value should stand",
		`{"x":tru}`:                        "invalid JSON: 't' where a value should stand",
		`{"Text":"a",}`:                    "invalid JSON: '}' where a text should stand",
		`{} {}`:                            "invalid JSON: '{' where the end should stand",
		`{"x":` + strings.Repeat("[", 200): "the JSON is nested deeper than 127",
	} {
		err := unmarshal(text, &everything{}, "column")
		if err == nil {
			t.Fatalf("%s was read", text)
		}
		equal(t, err.Error(), wanted)
	}
	if _, err := marshal(map[string]float64{"x": 1 / zero}); err == nil {
		t.Error("JSON has no infinity")
	}
}

var zero float64

func TestTheSameValueGivesTheSameText(t *testing.T) {
	value := map[string]any{"b": 1, "a": []any{nil, true, 1.5, "x\x01\xff<"}, "c": map[string]int{"z": 1, "y": 2}}
	for range 20 {
		text, err := marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, text, `{"a":[null,true,1.5,"x\u0001`+"\uFFFD"+`<"],"b":1,"c":{"y":2,"z":1}}`)
	}
	if _, err := NewDocument([]int{1}); err == nil {
		t.Error("a document is an object")
	}
}

func TestDecimalsKeepTheirDigits(t *testing.T) {
	for text, wanted := range map[string]string{
		`"12.50"`: "12.50", `12.50`: "12.50", `-0`: "-0", `"1E+3"`: "1E+3", `{"scale":2,"value":"fQ=="}`: "1.25", `null`: "null",
		`"123456789012345678901234567890.12345678901234567890"`: "123456789012345678901234567890.12345678901234567890",
	} {
		var row, standard struct{ Price Decimal }
		if err := unmarshal(`{"Price":`+text+`}`, &row, "column"); err != nil {
			t.Error(err)
		}
		written, _ := marshal(&row)
		equal(t, written, `{"Price":`+wanted+`}`)
		if err := json.Unmarshal([]byte(`{"Price":`+text+`}`), &standard); err != nil || standard != row {
			t.Errorf("encoding/json reads %q: %v", standard.Price, err)
		}
	}
	for _, text := range []string{`"NaN"`, `""`, `"1."`, `".5"`, `"01"`, `"BNM="`, `true`, `"1,5"`, `[1]`} {
		if err := unmarshal(text, new(Decimal), "column"); err == nil {
			t.Errorf("%s was read", text)
		}
	}
	for digits, negative := range map[Decimal]bool{"-3.00": true, "-0.00": false, "0": false, "0.01": false, "-1e-9": true, "-0e5": false} {
		if digits.IsNegative() != negative {
			t.Error(digits)
		}
	}
	for _, c := range []struct {
		base64 string
		scale  int
		wanted string
	}{
		{"BNM=", 2, "12.35"}, {"AQ==", 3, "0.001"}, {"/w==", 2, "-0.01"}, {"gA==", 0, "-128"}, {"", 0, "0"}, {"AA==", 2, "0.00"},
		{"AQ==", -3, "1000"}, {"gAAAAAAAAAA=", 4, "-922337203685477.5808"}, {"AP//////////", 0, "18446744073709551615"},
	} {
		digits, err := DecodeDecimal(c.base64, c.scale)
		if err != nil {
			t.Error(err)
		}
		equal(t, digits, c.wanted)
	}
	if _, err := DecodeDecimal("AQ==", 1<<30); err == nil {
		t.Error("a scale of a thousand million was worked out")
	}
	equal(t, Date(19_782), "2024-02-29")
	equal(t, Date(-1), "1969-12-31")
}

func TestJSONColumns(t *testing.T) {
	var row struct{ Attrs JSON }
	if err := unmarshal(`{"Attrs":" {\"b\": 1.50,  \"a\": [\"x\", {\"c\":\"y\"}]} "}`, &row, "column"); err != nil {
		t.Fatal(err)
	}
	written, _ := marshal(&row)
	equal(t, written, `{"Attrs":{"b": 1.50,  "a": ["x", {"c":"y"}]}}`)
	var texts []string
	for text, err := range row.Attrs.Texts() {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	equal(t, strings.Join(texts, " "), "x y")
	for text := range row.Attrs.Texts() {
		equal(t, text, "x")
		break
	}
	for _, broken := range []JSON{`{"b": `, `{} {}`, `{"a":01}`, "{\"a\":\"\n"} {
		if broken.Check() == nil {
			t.Errorf("%s is taken for JSON", broken)
		}
		if _, err := NewDocument(map[string]any{"x": broken}); err == nil {
			t.Errorf("%s was written", broken)
		}
	}
	if JSON("").Check() != nil || !row.Attrs.IsObject() || JSON("[]").IsObject() {
		t.Error("kinds")
	}
}

func TestTheHost(t *testing.T) {
	Count("seen", 2)
	Count("seen", 1)
	Gauge("level", 0.5)
	if TestCounter("seen") != 3 || TestGauge("level") != 0.5 {
		t.Error("counters")
	}
	if sum, err := Store.Increment("n", 3); sum != 3 || err != nil {
		t.Error(sum, err)
	}
	if sum, _ := Store.Increment("n", 4); sum != 7 {
		t.Error(sum)
	}
	_ = Store.Set("k", []byte("v"))
	if value, ok, err := Store.Get("k"); string(value) != "v" || !ok || err != nil {
		t.Error(value, ok, err)
	}
	_ = Store.Delete("k")
	if _, ok, _ := Store.Get("k"); ok {
		t.Error("it was deleted")
	}
}
