from decimal import Decimal
from unittest import TestCase

from rowmill import Rejection, debezium, exact


class NumbersTest(TestCase):
    def test_no_number_loses_digits_on_its_way(self) -> None:
        for text in (
            "0",
            "-7",
            "49.90",
            "12345678901234567890123",
            "-12345678901234567890.10",
            "0.30000000000000000001",
            "1E+400",
            "0.0",
            "-0.00",
        ):
            self.assertEqual(exact.text([exact.parse(text)]), f"[{text}]")

    def test_decimals_stand_anywhere(self) -> None:
        value = {"a": [Decimal("1.50"), "x", {"b": Decimal("2"), "c": 'quoted "#1"'}], "d": Decimal("3E+2")}
        self.assertEqual(exact.text(value), '{"a":[1.50,"x",{"b":2,"c":"quoted \\"#1\\""}],"d":3E+2}')

    def test_a_text_that_looks_like_a_mark_stays_a_text(self) -> None:
        for text in ("\0#5", "\0#", '\0#5","\0#6'):
            self.assertEqual(exact.parse(exact.text([text, Decimal("1.5")])), [text, Decimal("1.5")])
        with self.assertRaisesRegex(Rejection, "mark of this SDK"):
            exact.text(["\0#5", "\x001#", "\x002#", Decimal("1.5")])

    def test_what_json_has_no_number_for_is_refused(self) -> None:
        for value in (float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity")):
            with self.assertRaises(ValueError):
                exact.text([value])
        with self.assertRaises(ValueError):
            exact.parse("[NaN]")

    def test_half_a_character_is_escaped(self) -> None:
        text = exact.text({"a": exact.parse('"\\ud83d ä"')})
        self.assertEqual(text.encode(), '{"a":"\\ud83d ä"}'.encode())

    def test_base64_decimals_are_as_debezium_recorded_them(self) -> None:
        for base64, scale, digits in (
            ("BNM=", 2, "12.35"),
            ("AMc=", 2, "1.99"),
            ("AA==", 2, "0.00"),
            ("", 0, "0"),
            ("AQ==", 3, "0.001"),
            ("/w==", 2, "-0.01"),
            ("/zg=", 2, "-2.00"),
            ("gAAAAAAAAAA=", 4, "-922337203685477.5808"),
            ("AQ==", -3, "1E+3"),
            ("AP//////////", 0, "18446744073709551615"),
        ):
            self.assertEqual(str(debezium.decimal(base64, scale)), digits)
        with self.assertRaisesRegex(Rejection, "`12.50` is not base64"):
            debezium.decimal("12.50", 2)
        with self.assertRaisesRegex(Rejection, "too long"):
            debezium.decimal("AQ==", 10**9)

    def test_counts_since_1970_are_dates(self) -> None:
        self.assertEqual(debezium.date(19_782), "2024-02-29")
        self.assertEqual(debezium.date(-719_162), "0001-01-01")
        self.assertEqual(debezium.timestamp_millis(-1), "1969-12-31T23:59:59.999Z")
        self.assertEqual(debezium.timestamp_micros(1_710_041_400_654_321), "2024-03-10T03:30:00.654321Z")
        self.assertEqual(debezium.timestamp_nanos(1), "1970-01-01T00:00:00.000000001Z")
        with self.assertRaisesRegex(Rejection, "beyond the years"):
            debezium.date(2_147_483_647)
