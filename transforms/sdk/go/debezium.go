package transform

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// What Debezium makes of values that JSON has no type for. A connector with decimal.handling.mode = string and
// time.precision.mode = isostring sends readable text and needs none of this. With the defaults, decimals are base64, dates are
// days since 1970 and timestamps are counts since 1970: time.UnixMilli and time.UnixMicro read those.

// Postgres: at most 131,072 digits before the point and 16,383 after it.
const (
	scaleMax        = 131_072
	decimalBytesMax = 65_536
)

// DecodeBytes reads a bytea column: base64, with or without padding.
func DecodeBytes(text string) ([]byte, error) {
	bytes, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, fmt.Errorf("`%s` is not base64", text)
	}
	return bytes, nil
}

// DecodeDecimal gives the digits of a decimal: DecodeDecimal("BNM=", 2) is 12.35. The base64 holds a whole number (two's
// complement, highest byte first), of which the last scale digits stand behind the point; a negative scale adds zeros.
func DecodeDecimal(text string, scale int) (string, error) {
	bytes, err := DecodeBytes(text)
	if err != nil {
		return "", err
	}
	if len(bytes) > decimalBytesMax || scale > scaleMax || scale < -scaleMax {
		return "", fmt.Errorf("a decimal of %d bytes and scale %d is too long", len(bytes), scale)
	}
	whole := new(big.Int).SetBytes(bytes)
	if len(bytes) > 0 && bytes[0] >= 0x80 {
		whole.Sub(whole, new(big.Int).Lsh(big.NewInt(1), uint(8*len(bytes))))
	}
	digits := new(big.Int).Abs(whole).String()
	if scale < 0 && whole.Sign() != 0 {
		digits += strings.Repeat("0", -scale)
	}
	if scale > 0 {
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale+1-len(digits)) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if whole.Sign() < 0 {
		digits = "-" + digits
	}
	return digits, nil
}

// Date gives the date of a count of days since 1970: Date(19782) is 2024-02-29. Debezium's io.debezium.time.Date.
func Date(days int) string {
	return time.Unix(0, 0).UTC().AddDate(0, 0, days).Format(time.DateOnly)
}
