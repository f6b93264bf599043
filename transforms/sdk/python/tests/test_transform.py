from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any
from unittest import TestCase

from rowmill import Change, Deletion, Document, Json, Message, count, debezium, reject, store, transform
from rowmill.testing import counters, deleted, row, run


@dataclass
class Size:
    width: int
    tags: list[str] = field(default_factory=list)


@dataclass
class Row:
    id: int
    name: str | None = None
    price: Decimal | None = None
    ratio: float | None = None
    ok: bool | None = None
    tags: list[str | None] | None = None
    attrs: dict[str, Any] | None = None
    size: Size | None = None
    any: Json = None
    at: Annotated[str, debezium.date] | None = None
    stamp: int | str | None = None


@dataclass
class Limits:
    currency: str = "EUR"
    limit: int = 3
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError("setting `limit`: it is negative")


def read(text: str) -> Any:
    """What the dataclass makes of a row; or the reason."""
    [output] = run(transform(lambda change: change.after(Row)), [row("public.t", text)])
    return output.get("reason") or output["body"]


class ColumnsTest(TestCase):
    def test_columns_are_read_and_others_skipped(self) -> None:
        text = '{"id":12345678901234567890123,"name":"a\\"b","price":"12.50","ratio":1.5,"ok":false,"tags":["x",null],"new_column":[1],"at":19782}'
        body = {"id": 12345678901234567890123, "name": 'a"b', "price": Decimal("12.50"), "ratio": Decimal("1.5"), "ok": False}
        self.assertEqual(read(text), body | {"tags": ["x", None], "at": "2024-02-29"})
        self.assertEqual(read('{"id":1,"price":1.50,"stamp":5}'), {"id": 1, "price": Decimal("1.50"), "stamp": 5})
        self.assertEqual(read('{"id":1,"price":{"scale":2,"value":"fQ=="}}')["price"], Decimal("1.25"))

    def test_what_does_not_fit_is_named(self) -> None:
        for text, reason in (
            ("{}", "column `id` is missing"),
            ('{"id":null}', "column `id` is null"),
            ('{"id":"x"}', 'column `id`: expected a whole number, found "x"'),
            ('{"id":true}', "column `id`: expected a whole number, found true"),
            ('{"id":1.0}', "column `id`: expected a whole number, found 1.0"),
            ('{"id":1,"name":5}', "column `name`: expected a text, found 5"),
            ('{"id":1,"price":"NaN"}', "column `price`: `NaN` is not a decimal number"),
            ('{"id":1,"price":true}', "column `price`: expected a number, found true"),
            ('{"id":1,"tags":["x",1]}', "column `tags`: expected a text, found 1"),
            ('{"id":1,"tags":5}', "column `tags`: expected a list, found 5"),
            ('{"id":1,"attrs":"[1]"}', "column `attrs`: expected an object, found [1]"),
            ('{"id":1,"stamp":[1]}', "column `stamp`: expected int or str, found [1]"),
            ('{"id":1,"size":{"width":"x"}}', 'column `size`: column `width`: expected a whole number, found "x"'),
            ("[]", "the row is no object"),
        ):
            self.assertEqual(read(text), reason)
        self.assertRegex(read('{"id":1,"attrs":"{"}'), "^column `attrs`: ")

    def test_json_comes_as_a_text_and_as_itself(self) -> None:
        attrs = {"a": Decimal("12345678901234567890.10"), "b": None}
        self.assertEqual(read('{"id":1,"attrs":"{\\"a\\": 12345678901234567890.10, \\"b\\": null}"}')["attrs"], attrs)
        self.assertEqual(read('{"id":1,"attrs":{"a":12345678901234567890.10,"b":null}}')["attrs"], attrs)
        self.assertEqual(read('{"id":1,"any":"[1]","size":"{\\"width\\":2}"}'), {"id": 1, "any": [1], "size": {"width": 2, "tags": []}})

    def test_a_value_that_was_not_sent_is_not_lost(self) -> None:
        reason = 'did not change and was not sent by the database: set state.keep = "rows"'
        for column in ("name", "attrs", "any", "price"):
            self.assertEqual(read(f'{{"id":1,"{column}":"__debezium_unavailable_value"}}'), f"{column} {reason}")
        self.assertEqual(read('{"id":1,"other":"__debezium_unavailable_value"}'), {"id": 1})
        [output] = run(transform(lambda change: {"lacks": change.lacks_columns()}), [row("t", {"a": "__debezium_unavailable_value"})])
        self.assertEqual(output["body"], {"lacks": True})

    def test_a_type_that_cannot_be_read_is_an_error(self) -> None:
        @dataclass
        class Odd:
            a: set[int]

        [output] = run(transform(lambda change: change.after(Odd)), [row("t", {})])
        self.assertIn("a column cannot be a set[int]", output["reason"])


class TransformTest(TestCase):
    def test_answers_come_in_many_shapes(self) -> None:
        def actions(answer: Any) -> list[dict[str, Any]]:
            outputs = run(transform(lambda change: answer), [row("t", {"id": 1})])
            return [{name: value for name, value in output.items() if name != "change"} for output in outputs]

        index = {"action": "index", "body": {"a": 1}}
        self.assertEqual(actions(None), [])
        self.assertEqual(actions({"a": 1}), [index])
        self.assertEqual(actions({"a": None})[0]["body"], {"a": None})
        self.assertEqual(actions(Size(2))[0]["body"], {"width": 2, "tags": []})
        self.assertEqual(actions(Document({"a": 1}, id=7, index="i", routing="r")), [index | {"id": "7", "index": "i", "routing": "r"}])
        several = [{"a": 1}, None, Deletion(id=3), Message("topic", [1], key="k")]
        found = [index, {"action": "delete", "id": "3"}, {"action": "emit", "topic": "topic", "key": "k", "body": [1]}]
        self.assertEqual(actions(several), found)
        self.assertEqual(actions(one for one in several), found)
        self.assertEqual(actions([{"a": 1}, 5]), [{"action": "reject", "reason": "a document is a dict or a dataclass, and not a int"}])
        self.assertEqual(actions({"a": {1}}), [{"action": "reject", "reason": "JSON has nothing for a set: {1}"}])

    def test_an_exception_rejects_its_change_and_no_other(self) -> None:
        @transform
        def product(change: Change) -> Iterator[dict[str, Any]]:
            number = change.after()["id"]
            yield {"id": number}
            if number == 1:
                reject("no")
            if number == 2:
                raise ValueError("odd")

        outputs = run(product, [row("t", {"id": number}) for number in (1, 2, 3)])
        self.assertEqual([output["change"] for output in outputs], [0, 1, 2])
        self.assertEqual(outputs[0]["reason"], "no")
        self.assertRegex(outputs[1]["reason"], r"^ValueError: odd \(product, .*test_transform\.py:\d+\)$")
        self.assertEqual(outputs[2]["body"], {"id": 3})

    def test_a_delete_is_rowmills_affair_unless_it_is_asked_for(self) -> None:
        changes = [deleted("t", {"id": 1})]
        self.assertEqual(run(transform(lambda change: {}), changes), [])
        asked = transform(deletes=True)
        [output] = run(asked(lambda change: {"operation": change.operation, "key": change.key(), "before": change.before()}), changes)
        self.assertEqual(output["body"], {"operation": "delete", "key": {"id": 1}, "before": None})
        [output] = run(asked(lambda change: change.after()), changes)
        self.assertEqual(output["reason"], "a deleted row has no `after`")

    def test_settings_are_checked(self) -> None:
        @transform
        def settle(change: Change, settings: Limits) -> Limits:
            return settings

        def body(config: dict[str, Any]) -> Any:
            return run(settle, [row("t", {})], config)[0]["body"]

        self.assertEqual(body({}), {"currency": "EUR", "limit": 3, "words": []})
        self.assertEqual(body({"currency": "CHF", "words": ["a"]}), {"currency": "CHF", "limit": 3, "words": ["a"]})
        for config, reason in (
            ({"curency": "CHF"}, "there is no setting `curency`, only `currency`, `limit`, `words`"),
            ({"limit": "3"}, 'setting `limit`: expected a whole number, found "3"'),
            ({"limit": -1}, "setting `limit`: it is negative"),
        ):
            with self.assertRaises(ValueError) as refused:
                body(config)
            self.assertEqual(str(refused.exception), f"transform.config: {reason}")
        with self.assertRaisesRegex(ValueError, "there is no setting `a`, and no other"):
            run(transform(lambda change: None), [], {"a": 1})
        [output] = run(transform(lambda change, settings: settings), [row("t", {})], {"a": 1})
        self.assertEqual(output["body"], {"a": 1})

    def test_a_function_takes_a_change_and_settings(self) -> None:
        async def waits(change: Change) -> None: ...

        with self.assertRaisesRegex(TypeError, "waits is async"):
            transform(waits)
        with self.assertRaisesRegex(TypeError, "takes a change"):
            transform(lambda: None)

    def test_counters_and_the_store_are_there_without_a_host(self) -> None:
        def use(change: Change) -> dict[str, Any]:
            count("seen", 2)
            store.set("last", {"at": [Decimal("1.50")]})
            store.increment("total")
            return {"last": store.get("last"), "total": store.increment("total", 2), "none": "none" in store, "keys": sorted(store.keys())}

        [output] = run(transform(use), [row("t", {})])
        self.assertEqual(output["body"], {"last": {"at": [Decimal("1.50")]}, "total": 3, "none": False, "keys": ["last", "total"]})
        self.assertEqual(counters["seen"], 2)
