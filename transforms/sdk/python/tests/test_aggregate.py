from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest import TestCase

from rowmill import Change, Document, Measure, Message, Window, WindowRow, aggregate, exact, reject
from rowmill.testing import deleted, measure, render, row

FULL = WindowRow(
    'la"ptop',
    count=2,
    sum=Decimal("12345678901.123456789"),
    window=Window(1_795_219_200_000, 1_795_219_260_500),
    rank=1,
    is_final=True,
    min=Decimal("0.1"),
    max=Decimal("7"),
    average=Decimal("1.50"),
    distinct=0,
    score=0.5,
)


@dataclass
class Top:
    top: int = 3


def of(answer: Any) -> list[dict[str, Any]]:
    """What a function that answers this counts of one row."""
    measured = measure(aggregate(lambda change: answer), [row("t", {"id": 1})])
    return [{name: value for name, value in one.items() if name != "change"} for one in measured]


class MeasureTest(TestCase):
    def test_measures_come_in_many_shapes(self) -> None:
        one = {"action": "measure", "key": "a", "weight": 1}
        self.assertEqual(of(None), [])
        self.assertEqual(of(Measure("a")), [one])
        full = Measure(7, time_ms=1_795_219_201_000, weight=Decimal("-0.10"), distinct=5)
        told = {"action": "measure", "key": "7", "time_ms": 1_795_219_201_000, "weight": -0.1, "distinct": "5"}
        self.assertEqual(of([full, None, Measure("a", weight=0, distinct="")]), [told, {**one, "weight": 0, "distinct": ""}])
        self.assertEqual(of(each for each in (Measure("a"), full)), [one, told])

    def test_a_measure_that_cannot_be_used_rejects_its_change(self) -> None:
        missing: Any = None
        for answer, reason in (
            ("a", "what counts is a Measure, and not a str"),
            (Measure(missing), "`key` of a measure: expected a text, found None"),
            (Measure("a", time_ms=-1), "`time_ms` of a measure: expected whole milliseconds since 1970, found -1"),
            (Measure("a", time_ms=1 << 64), "`time_ms` of a measure: expected whole milliseconds since 1970, found 18446744073709551616"),
            (Measure("a", time_ms=missing or 1.5), "`time_ms` of a measure: expected whole milliseconds since 1970, found 1.5"),
            (Measure("a", weight=missing), "`weight` of a measure: expected a number, found None"),
            (Measure("a", weight=float("nan")), "`weight` of a measure: expected a number, found nan"),
            (Measure("a", weight=True), "`weight` of a measure: expected a number, found True"),
            (Measure("a", distinct=missing or {}), "`distinct` of a measure: expected a text, found {}"),
        ):
            # One that cannot be used takes those before it along.
            self.assertEqual(of([Measure("b"), answer]), [{"action": "reject", "reason": reason}])

    def test_an_exception_rejects_its_change_and_a_delete_is_not_measured(self) -> None:
        @aggregate
        def sale(change: Change) -> Iterator[Measure]:
            number = change.after()["id"]
            yield Measure("a")
            if number == 1:
                reject("no")
            if number == 2:
                raise ValueError("odd")

        measured = measure(sale, [*(row("t", {"id": number}) for number in (1, 2, 3)), deleted("t", {"id": 3})])
        self.assertEqual([(one["change"], one["action"]) for one in measured], [(0, "reject"), (1, "reject"), (2, "measure")])
        self.assertEqual(measured[0]["reason"], "no")
        self.assertRegex(measured[1]["reason"], r"^ValueError: odd \(sale, .*test_aggregate\.py:\d+\)$")


class RenderTest(TestCase):
    def test_rows_of_windows_become_documents_by_themselves(self) -> None:
        bare = WindowRow("k", count=1, sum=Decimal(0))
        full, short = render(aggregate(lambda change: None), [FULL, bare])
        self.assertEqual(
            exact.text(full["body"]),
            '{"key":"la\\"ptop","window_start":"2026-11-21T00:00:00Z","window_end":"2026-11-21T00:01:00.500Z","rank":1,"count":2,'
            '"sum":12345678901.123456789,"min":0.1,"max":7,"average":1.50,"distinct":0,"score":0.5}',
        )
        self.assertEqual(short, {"change": 1, "action": "index", "body": {"key": "k", "count": 1, "sum": 0}})

    def test_rows_of_windows_become_what_a_function_makes_of_them(self) -> None:
        counted = aggregate(lambda change: None)

        @counted.render
        def shown(row: WindowRow, settings: Top) -> Iterator[Any]:
            if row.rank is not None and row.rank > settings.top:
                return
            if row.key == "7":
                reject(f"no number: {row.key}")
            yield Document({"key": row.key}, id=row.key)
            yield Message("seen", row.count)

        rows = [WindowRow("a", rank=4), WindowRow("7"), WindowRow("b", rank=3)]
        rejected = {"change": 1, "action": "reject", "reason": "no number: 7"}
        index = {"change": 2, "action": "index", "id": "b", "body": {"key": "b"}}
        self.assertEqual(render(counted, rows), [rejected, index, {"change": 2, "action": "emit", "topic": "seen", "body": 1}])
        self.assertEqual(len(render(counted, rows[:1], {"top": 4})), 2)
        with self.assertRaisesRegex(ValueError, "there is no setting `tip`, only `top`"):
            render(counted, [], {"tip": 4})

    def test_both_functions_take_the_same_settings(self) -> None:
        @dataclass
        class Other:
            top: int = 3

        @aggregate
        def sale(change: Change, settings: Top) -> Measure:
            return Measure(settings.top)

        self.assertEqual(measure(sale, [row("t", {})], {"top": 5})[0]["key"], "5")

        @sale.render
        def shown(row: WindowRow, settings: Other) -> None: ...

        with self.assertRaisesRegex(ValueError, "sale and shown take settings of different types"):
            measure(sale, [])

    def test_a_function_takes_a_row_and_settings(self) -> None:
        async def waits(row: WindowRow) -> None: ...

        counted = aggregate(lambda change: None)
        with self.assertRaisesRegex(TypeError, "waits is async"):
            counted.render(waits)
        with self.assertRaisesRegex(TypeError, "takes a row of a window"):
            counted.render(lambda: None)
        with self.assertRaisesRegex(TypeError, "takes a change"):
            aggregate(lambda: None)
