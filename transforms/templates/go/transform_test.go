package main

import (
	"strings"
	"testing"

	"rowmill.dev/transform"
)

func TestTheCurrencyIsASetting(t *testing.T) {
	row := transform.TestRow("public.products", `{"id":1,"price":"3.00"}`)
	outputs, err := transform.TestRun(`{"currency":"CHF"}`, row)
	if err != nil || !strings.Contains(outputs[0], `"price":{"amount":3.00,"currency":"CHF"}`) {
		t.Error(outputs, err)
	}
}
