import assert from "node:assert/strict";
import { test } from "node:test";
import { columns, count, deletion, document, message, reject, store, transform } from "../rowmill.js";
import { counters, deleted, row, run } from "../testing.js";

/** What a function makes of one row. */
function of(f, text, options) {
  return run(transform(f, options), [row("public.t", text)]);
}

/** What columns make of a row, as JSON; or the reason. */
function read(types, text) {
  const [output] = of((change) => change.after(types), text);
  return output.reason ?? JSON.stringify(output.body);
}

test("columns are checked, and others skipped", () => {
  const Product = columns({
    id: "bigint!",
    name: "text",
    price: "decimal",
    stock: "integer",
    ok: "boolean",
    tags: "text[]",
    ratio: "number",
  });
  assert.equal(
    read(Product, '{"id":1,"name":"a\\"b","price":"12.50","stock":7,"ok":true,"tags":["x",null],"ratio":0.5,"new_column":[1]}'),
    '{"id":1,"name":"a\\"b","price":12.5,"stock":7,"ok":true,"tags":["x",null],"ratio":0.5}',
  );
  assert.equal(read(Product, '{"id":12345678901234567890123,"name":null}'), '{"id":12345678901234567890123}');
  assert.equal(read(Product, "{}"), "column `id` is missing");
  assert.equal(read(Product, '{"id":null}'), "column `id` is null");
  assert.equal(read(Product, '{"id":"x"}'), 'column `id`: expected a whole number, found "x"');
  assert.equal(read(Product, '{"id":1.5}'), "column `id`: expected a whole number, found 1.5");
  assert.equal(read(Product, '{"id":1,"name":5}'), "column `name`: expected a text, found 5");
  assert.equal(read(Product, '{"id":1,"price":"NaN"}'), "column `price`: `NaN` is not a decimal number");
  assert.equal(
    read(Product, '{"id":1,"stock":9007199254740993}'),
    "column `stock`: 9007199254740993 is too large for an integer: read it as bigint",
  );
  assert.equal(read(Product, '{"id":1,"tags":"x"}'), 'column `tags`: expected a list, found "x"');
  assert.equal(read(Product, '{"id":1,"tags":["x",1]}'), "column `tags`: expected a text, found 1");
  assert.equal(read(Product, "[]"), "column `id` is missing");
  assert.equal(read(Product, "5"), "the row is no object");
});

test("numbers in a row keep their digits, whatever came before", () => {
  const Product = columns({ price: "decimal", any: "any" });
  assert.equal(read(Product, '{"price":"0.30000000000000000001","any":"x"}'), '{"price":0.30000000000000000001,"any":"x"}');
  assert.equal(read(Product, '{"price":0.30000000000000000001}'), '{"price":0.30000000000000000001}');
  assert.equal(read(Product, '{"any":12345678901234567890}'), '{"any":12345678901234567890}');
  assert.equal(read(columns({ any: "any" }), '{"any":[0.30000000000000000001]}'), '{"any":[0.30000000000000000001]}');
  assert.equal(read(undefined, '{"a":12345678901234567890123,"b":null,"c":0.1}'), '{"a":12345678901234567890123,"b":null,"c":0.1}');
});

test("json comes as a text, and as itself", () => {
  const Row = columns({ attrs: "object", any: "json" });
  assert.equal(read(Row, '{"attrs":"{\\"a\\": 12345678901234567890.10}"}'), '{"attrs":{"a":12345678901234567890.10}}');
  assert.equal(
    read(Row, '{"attrs":{"a":1.5,"b":{"c":12345678901234567890}},"any":"[1, null]"}'),
    '{"attrs":{"a":1.5,"b":{"c":12345678901234567890}},"any":[1,null]}',
  );
  assert.equal(read(Row, '{"attrs":"[1]"}'), "column `attrs`: expected an object, found [1]");
  assert.match(read(Row, '{"any":"{"}'), /^column `any`: /);
});

test("a value that was not sent is not lost", () => {
  const unavailable = '{"id":1,"long":"__debezium_unavailable_value"}';
  assert.equal(
    read(columns({ long: "text" }), unavailable),
    'long did not change and was not sent by the database: set state.keep = "rows"',
  );
  assert.equal(
    read(columns({ long: "json" }), unavailable),
    'long did not change and was not sent by the database: set state.keep = "rows"',
  );
  assert.equal(read(columns({ id: "integer" }), unavailable), '{"id":1}');
  const [output] = of((change) => ({ lacks: change.lacksColumns() }), unavailable);
  assert.deepEqual(output.body, { lacks: true });
});

test("a column may be read by a function", () => {
  assert.equal(read(columns({ at: (text) => text.toUpperCase() }), '{"at":"x"}'), '{"at":"X"}');
  assert.equal(read(columns({ at: String }), '{"at":12345678901234567890}'), '{"at":"12345678901234567890"}');
  assert.throws(() => columns({ id: "int" }), /column `id`: there is no type `int`, only text, boolean/);
  assert.throws(() => columns({ id: "text[]?" }), /there is no type/);
});

test("answers come in many shapes", () => {
  const actions = (answer) => of(() => answer, '{"id":1}').map(({ change, ...action }) => action);
  assert.deepEqual(actions(undefined), []);
  assert.deepEqual(actions(null), []);
  assert.deepEqual(actions({ a: 1 }), [{ action: "index", body: { a: 1 } }]);
  assert.deepEqual(actions(document({}, { id: 7n, index: "i", routing: "r" })), [
    { action: "index", id: "7", index: "i", routing: "r", body: {} },
  ]);
  assert.deepEqual(actions([{ a: 1 }, undefined, deletion({ id: 3 }), message("topic", [1], { key: "k" })]), [
    { action: "index", body: { a: 1 } },
    { action: "delete", id: "3" },
    { action: "emit", topic: "topic", key: "k", body: [1] },
  ]);
  assert.deepEqual(actions(Promise.resolve({})), [
    { action: "reject", reason: "the function is async: a transform has nothing to wait for" },
  ]);
  assert.deepEqual(actions([{ a: 1 }, 5]), [{ action: "reject", reason: "a document is an object, and not 5" }]);
  assert.deepEqual(actions([[{}]]), [{ action: "reject", reason: "a document is an object, and not [{}]" }]);
});

test("an exception rejects its change, and no other", () => {
  const f = (change) => {
    const { id } = change.after();
    if (id === 1) reject("no");
    if (id === 2) throw new TypeError("odd");
    if (id === 3) throw "words";
    return { id };
  };
  const outputs = run(
    transform(f),
    [1, 2, 3, 4].map((id) => row("public.t", { id })),
  );
  assert.deepEqual(
    outputs.map((output) => output.change),
    [0, 1, 2, 3],
  );
  assert.equal(outputs[0].reason, "no");
  assert.match(outputs[1].reason, /^TypeError: odd \(f, .*transform\.test\.js:\d+\)$/);
  assert.equal(outputs[2].reason, "words");
  assert.deepEqual(outputs[3].body, { id: 4 });
});

test("a delete is Rowmill's affair, unless it is asked for", () => {
  const changes = [deleted("public.t", { id: 1 })];
  assert.deepEqual(
    run(
      transform(() => ({})),
      changes,
    ),
    [],
  );
  const f = (change) => ({ operation: change.operation, key: change.key(), before: change.before() ?? null });
  const [output] = run(transform(f, { deletes: true }), changes);
  assert.deepEqual(output.body, { operation: "delete", key: { id: 1 }, before: null });
  const [without] = run(
    transform((change) => change.after(), { deletes: true }),
    changes,
  );
  assert.equal(without.reason, "a deleted row has no `after`");
});

test("settings have defaults, and are checked", () => {
  const component = transform((_, settings) => settings, { settings: { currency: "EUR", limit: 3 } });
  const settle = (config) => run(component, [row("public.t", {})], config)[0].body;
  assert.deepEqual(settle({}), { currency: "EUR", limit: 3 });
  assert.deepEqual(settle({ currency: "CHF" }), { currency: "CHF", limit: 3 });
  assert.throws(() => settle({ curency: "CHF" }), { message: "transform.config: there is no setting `curency`, only `currency`, `limit`" });
  assert.throws(() => settle({ limit: "3" }), { message: 'transform.config: setting `limit`: expected a number, found "3"' });
  assert.throws(
    () =>
      run(
        transform(() => {}),
        [],
        { a: 1 },
      ),
    { message: "transform.config: there is no setting `a`, and no other" },
  );
  const own = transform((_, settings) => settings, {
    settings({ words }) {
      if (words === undefined) throw new Error("setting `words` is missing");
      return { pattern: words.join("|") };
    },
  });
  assert.deepEqual(run(own, [row("public.t", {})], { words: ["a", "b"] })[0].body, { pattern: "a|b" });
  assert.throws(() => run(own, []), { message: "transform.config: setting `words` is missing" });
});

test("counters and the store are there without a host", () => {
  of(() => {
    count("seen", 2);
    store.set("last", { at: [1] });
    store.increment("total");
    return { last: store.get("last"), total: store.increment("total", 2), none: store.has("none"), keys: [...store.keys()] };
  }, "{}").forEach(({ body }) => assert.deepEqual(body, { last: { at: [1] }, total: 3, none: false, keys: ["last", "total"] }));
  assert.equal(counters.get("seen"), 2);
});
