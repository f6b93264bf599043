package transform

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// depthMax is how deep JSON may be nested: as deep as the host reads.
const depthMax = 127

// reader walks JSON text. What it gives are parts of the text, not copies.
type reader struct {
	text   string
	at     int
	depth  int
	strict bool // a field that the struct does not have is an error
}

var errCut = errors.New("the JSON text ends too early")

// peek is the next byte that is no space, 0 at the end.
func (r *reader) peek() byte {
	for at := r.at; at < len(r.text); at++ {
		if c := r.text[at]; c > ' ' {
			r.at = at
			return c
		}
	}
	r.at = len(r.text)
	return 0
}

// take reads one certain byte.
func (r *reader) take(wanted byte) error {
	if c := r.peek(); c != wanted {
		return r.unexpected(c, string(rune(wanted)))
	}
	r.at++
	return nil
}

func (r *reader) unexpected(c byte, wanted string) error {
	if c == 0 {
		return errCut
	}
	return fmt.Errorf("invalid JSON: %q where %s should stand", rune(c), wanted)
}

// next leads through the items of an object or list: it is at the first one, or behind one. It tells whether there is another.
func (r *reader) next(end byte, first bool) (bool, error) {
	c := r.peek()
	if c == end {
		r.at++
		r.depth--
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, r.unexpected(c, "a comma or the end")
	}
	r.at++
	return true, nil
}

// open enters an object or list.
func (r *reader) open(start byte) error {
	if r.depth++; r.depth > depthMax {
		return fmt.Errorf("the JSON is nested deeper than %d", depthMax)
	}
	return r.take(start)
}

// raw reads a text, and gives what stands between its quotes and whether that holds escapes.
func (r *reader) raw() (string, bool, error) {
	if c := r.peek(); c != '"' {
		return "", false, r.unexpected(c, "a text")
	}
	from, escaped := r.at+1, false
	for at := from; ; {
		at = plainEnd(r.text, at)
		switch {
		case at >= len(r.text):
			return "", false, errCut
		case r.text[at] == '"':
			r.at = at + 1
			return r.text[from:at], escaped, nil
		case r.text[at] == '\\':
			escaped = true
			at++
		}
		at++ // a byte below a space: only writing minds
	}
}

// plainEnd is where the next byte stands that is a quote, a backslash or below a space. It looks at eight at once, because in a
// module each turn of a loop also asks whether time is up.
func plainEnd(text string, at int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for at+8 <= len(text) {
		eight := *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.StringData(text)), at))
		quotes, backslashes := eight^'"'*ones, eight^'\\'*ones
		marks := ((quotes-ones)&^quotes | (backslashes-ones)&^backslashes | (eight-' '*ones)&^eight) & highs
		if marks != 0 {
			return at + bits.TrailingZeros64(marks)/8 // the lowest mark is right; those above it may not be
		}
		at += 8
	}
	for at < len(text) && text[at] >= ' ' && text[at] != '"' && text[at] != '\\' {
		at++
	}
	return at
}

// string reads a text.
func (r *reader) string() (string, error) {
	raw, escaped, err := r.raw()
	if err != nil || !escaped {
		return raw, err
	}
	return unescape(raw)
}

// name reads the name of a field, and the colon behind it.
func (r *reader) name() (string, error) {
	name, err := r.string()
	if err != nil {
		return "", err
	}
	return name, r.take(':')
}

// skip reads any value and gives its text.
func (r *reader) skip() (string, error) {
	c := r.peek()
	from := r.at
	var err error
	switch c {
	case '"':
		_, _, err = r.raw()
	case '{', '[':
		err = r.skipItems(c)
	case 't', 'n', 'f':
		err = r.word()
	default:
		_, err = r.number()
	}
	return r.text[from:r.at], err
}

func (r *reader) skipItems(start byte) error {
	if err := r.open(start); err != nil {
		return err
	}
	end := start + 2 // in ASCII, { and } and [ and ] are two apart
	more, err := r.next(end, true)
	for more && err == nil {
		if start == '{' {
			if _, _, err = r.raw(); err == nil {
				err = r.take(':')
			}
		}
		if err == nil {
			_, err = r.skip()
		}
		if err == nil {
			more, err = r.next(end, false)
		}
	}
	return err
}

// word reads true, false or null.
func (r *reader) word() error {
	for _, word := range [...]string{"true", "null", "false"} {
		if strings.HasPrefix(r.text[r.at:], word) {
			r.at += len(word)
			return nil
		}
	}
	return fmt.Errorf("invalid JSON: %q where a value should stand", rune(r.text[r.at]))
}

// null reads null, if it is next.
func (r *reader) null() bool {
	if r.peek() == 'n' && strings.HasPrefix(r.text[r.at:], "null") {
		r.at += 4
		return true
	}
	return false
}

// number reads a number and gives its digits.
func (r *reader) number() (string, error) {
	c := r.peek()
	if length := numberPrefix(r.text[r.at:]); length > 0 {
		r.at += length
		return r.text[r.at-length : r.at], nil
	}
	return "", r.unexpected(c, "a value")
}

// numberPrefix is the length of the JSON number that a text begins with, 0 if it begins with none.
func numberPrefix(text string) int {
	at := 0
	if at < len(text) && text[at] == '-' {
		at++
	}
	whole := digits(text, at)
	if whole == at || (text[at] == '0' && whole > at+1) {
		return 0
	}
	at = whole
	if at < len(text) && text[at] == '.' {
		fraction := digits(text, at+1)
		if fraction == at+1 {
			return 0
		}
		at = fraction
	}
	if at < len(text) && text[at]|0x20 == 'e' {
		sign := at + 1
		if sign < len(text) && (text[sign] == '+' || text[sign] == '-') {
			sign++
		}
		exponent := digits(text, sign)
		if exponent == sign {
			return 0
		}
		at = exponent
	}
	return at
}

// digits is where the digits that begin at a place end.
func digits(text string, at int) int {
	for at < len(text) && text[at]-'0' <= 9 {
		at++
	}
	return at
}

func isNumber(text string) bool { return text != "" && numberPrefix(text) == len(text) }

// unescape gives a text as it is meant. Half a surrogate pair becomes U+FFFD, as in encoding/json.
func unescape(raw string) (string, error) {
	text := make([]byte, 0, len(raw))
	for {
		at := strings.IndexByte(raw, '\\')
		if at < 0 || at+1 == len(raw) {
			text = append(text, raw...)
			return unsafe.String(unsafe.SliceData(text), len(text)), nil
		}
		text = append(text, raw[:at]...)
		escape := raw[at+1]
		raw = raw[at+2:]
		if plain := strings.IndexByte(`"\/bfnrt`, escape); plain >= 0 {
			text = append(text, "\"\\/\b\f\n\r\t"[plain])
			continue
		}
		if escape != 'u' {
			return "", fmt.Errorf("invalid JSON: the escape \\%c does not exist", escape)
		}
		unit, ok := hex4(raw)
		if !ok {
			return "", errors.New("invalid JSON: four hexadecimal digits should follow \\u")
		}
		raw = raw[4:]
		if utf16.IsSurrogate(unit) && strings.HasPrefix(raw, `\u`) {
			if low, ok := hex4(raw[2:]); ok {
				if pair := utf16.DecodeRune(unit, low); pair != utf8.RuneError {
					unit, raw = pair, raw[6:]
				}
			}
		}
		text = utf8.AppendRune(text, unit)
	}
}

func hex4(text string) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var unit rune
	for _, c := range []byte(text[:4]) {
		switch {
		case c-'0' <= 9:
			unit = unit<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			unit = unit<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}
