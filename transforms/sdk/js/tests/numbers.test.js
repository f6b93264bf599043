import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "../lib/json.js";
import { debezium, Decimal } from "../rowmill.js";

test("a decimal keeps the digits of every form", () => {
  const cases = [
    ["12.50", "12.50"],
    [19.5, "19.5"],
    [7n, "7"],
    ["1E+3", "1E+3"],
    [{ scale: 2, value: "fQ==" }, "1.25"],
    ["123456789012345678901234567890.12345678901234567890", "123456789012345678901234567890.12345678901234567890"],
  ];
  for (const [value, digits] of cases) {
    assert.equal(JSON.stringify({ amount: Decimal.of(value) }), `{"amount":${digits}}`);
    assert.equal(`${Decimal.of(value)}`, digits);
  }
});

test("what is no number is no decimal", () => {
  for (const text of ["NaN", "", "1.", ".5", "01", "BNM=", "1,5", "1e", "0x10", " 1", "1\n"]) {
    assert.throws(() => Decimal.of(text), /is not a decimal number/, text);
  }
  assert.throws(() => Decimal.of(true), { message: "true is not a decimal number" });
  assert.throws(() => Decimal.of([1]), { message: "[1] is not a decimal number" });
});

test("a decimal knows its sign", () => {
  const signs = ["-3.00", "-0.00", "0", "0.01", "-1e-9", "-0e5"].map((digits) => new Decimal(digits).isNegative());
  assert.deepEqual(signs, [true, false, false, false, true, false]);
});

test("no number loses digits on its way", () => {
  const texts = ["0", "-7", "49.9", "9007199254740991", "1735689600000001", "0.30000000000000004", "12345678901234567890123"];
  texts.push("-12345678901234567890.10", "0.30000000000000000001", "1e400", "1e-400", "123456e-325", "1.00000000000000000001");
  for (const text of texts) {
    assert.equal(JSON.stringify(parse(`[${text}]`)), `[${text}]`);
  }
  assert.equal(typeof parse("1735689600000001"), "number");
  assert.equal(parse("12345678901234567890123"), 12345678901234567890123n);
  assert.ok(parse("1e400") instanceof Decimal);
  // The same numbers, in JavaScript's way of writing them.
  assert.deepEqual(parse("[1.0, 49.90, 1.0E10, 0.0, 0e5, 1.50]"), [1, 49.9, 1e10, 0, 0, 1.5]);
});

test("base64 decimals are as Debezium recorded them", () => {
  const cases = [
    ["BNM=", 2, "12.35"],
    ["AMc=", 2, "1.99"],
    ["AA==", 2, "0.00"],
    ["", 0, "0"],
    ["AQ==", 3, "0.001"],
    ["/w==", 2, "-0.01"],
    ["/zg=", 2, "-2.00"],
    ["gAAAAAAAAAA=", 4, "-922337203685477.5808"],
    ["AQ==", -3, "1000"],
    ["AA==", -3, "0"],
    ["AP//////////", 0, "18446744073709551615"],
  ];
  for (const [base64, scale, digits] of cases) {
    assert.equal(debezium.decimal(base64, scale), digits);
  }
  assert.throws(() => debezium.decimal("12.50", 2), { message: "`12.50` is not base64" });
  assert.throws(() => debezium.decimal("AQ==", 1e9), /too long/);
});

test("counts since 1970 are dates", () => {
  assert.equal(debezium.date(19_782), "2024-02-29");
  assert.equal(debezium.date(-1), "1969-12-31");
  assert.equal(debezium.timestampMillis(-1), "1969-12-31T23:59:59.999Z");
  assert.equal(debezium.timestampMicros(1_710_041_400_654_321), "2024-03-10T03:30:00.654321Z");
  assert.equal(debezium.timestampMicros(-1), "1969-12-31T23:59:59.999999Z");
  assert.equal(debezium.timestampNanos(1_710_041_400_654_321_001n), "2024-03-10T03:30:00.654321001Z");
  assert.equal(debezium.timestampNanos(-1), "1969-12-31T23:59:59.999999999Z");
  assert.throws(() => debezium.date(2_147_483_647), /beyond every calendar/);
});
