package transform

import (
	"fmt"
	"reflect"
	"strings"
)

func typeOf(value any) reflect.Type { return reflect.TypeOf(value) }

// readSettings reads transform.config. No text and null are an empty object.
func readSettings(config string, into any) error {
	config = strings.TrimSpace(config)
	if config == "" || config == "null" {
		config = "{}"
	}
	r := reader{text: config, strict: true}
	err := r.unmarshal(into, "setting")
	if checked, ok := into.(interface{ Validate() error }); ok && err == nil {
		err = checked.Validate()
	}
	if err != nil {
		return fmt.Errorf("transform.config: %w", err)
	}
	return nil
}
