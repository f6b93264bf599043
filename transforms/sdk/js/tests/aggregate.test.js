import assert from "node:assert/strict";
import { test } from "node:test";
import { aggregate, columns, Decimal, document, message, reject, transform } from "../rowmill.js";
import { deleted, measure, render, row, run, windowRow } from "../testing.js";

/** What a function counts of one row. */
function of(f, options) {
  return measure(aggregate(f, options), [row("public.t", { id: 1 })]).map(({ change, ...measured }) => measured);
}

test("measures come in many shapes", () => {
  assert.deepEqual(
    of(() => undefined),
    [],
  );
  assert.deepEqual(
    of(() => null),
    [],
  );
  assert.deepEqual(
    of(() => ({ key: "a" })),
    [{ action: "measure", key: "a", weight: 1 }],
  );
  const at = 1795219201000;
  assert.deepEqual(
    of(() => [{ key: 7n, timeMs: BigInt(at), weight: new Decimal("-0.10"), distinct: 5 }, null, { key: "b", timeMs: at, weight: 0, distinct: "" }]),
    [
      { action: "measure", key: "7", timeMs: at, weight: -0.1, distinct: "5" },
      { action: "measure", key: "b", timeMs: at, weight: 0, distinct: "" },
    ],
  );
});

test("a measure that cannot be used rejects its change", () => {
  const reason = (one) => of(() => [{ key: "a" }, one])[0].reason;
  assert.equal(of(() => [{ key: "a" }, 5]).length, 1);
  assert.equal(reason(5), "a measure is an object, and not 5");
  assert.equal(reason([]), "a measure is an object, and not []");
  assert.equal(reason(Promise.resolve()), "the function is async: an aggregate has nothing to wait for");
  assert.equal(reason({}), "a measure needs a `key`");
  assert.equal(reason({ key: {} }), "`key` of a measure: expected a text, found {}");
  assert.equal(reason({ key: "a", time: 1 }), "a measure has no `time`, only `key`, `timeMs`, `weight`, `distinct`");
  assert.equal(reason({ key: "a", timeMs: 1.5 }), "`timeMs` of a measure: expected whole milliseconds since 1970, found 1.5");
  assert.equal(reason({ key: "a", timeMs: -1 }), "`timeMs` of a measure: expected whole milliseconds since 1970, found -1");
  assert.equal(reason({ key: "a", timeMs: "1" }), '`timeMs` of a measure: expected whole milliseconds since 1970, found "1"');
  assert.equal(reason({ key: "a", weight: undefined }), "`weight` of a measure: expected a number, found undefined");
  assert.equal(reason({ key: "a", weight: NaN }), "`weight` of a measure: expected a number, found NaN");
  assert.equal(reason({ key: "a", weight: "1" }), '`weight` of a measure: expected a number, found "1"');
  assert.equal(reason({ key: "a", distinct: true }), "`distinct` of a measure: expected a text, found true");
});

test("an exception rejects its change, and a delete is not measured", () => {
  const component = aggregate((change) => {
    const { id } = change.after(columns({ id: "integer!" }));
    if (id === 1) reject("no");
    if (id === 2) throw new TypeError("odd");
    return { key: id };
  });
  const measured = measure(component, [1, 2, 3].map((id) => row("t", { id })).concat(deleted("t", { id: 3 })));
  assert.deepEqual(
    measured.map(({ change, action }) => [change, action]),
    [
      [0, "reject"],
      [1, "reject"],
      [2, "measure"],
    ],
  );
  assert.equal(measured[0].reason, "no");
  assert.match(measured[1].reason, /^TypeError: odd \(.*aggregate\.test\.js:\d+\)$/);
});

const FULL = windowRow('la"ptop', {
  window: { startMs: 1795219200000, endMs: 1795219260500 },
  rank: 1,
  isFinal: true,
  count: 2,
  sum: "12345678901.123456789",
  min: "0.1",
  max: 7,
  average: "1.50",
  distinct: 0,
  score: 0.5,
});

test("rows of windows become documents by themselves", () => {
  const [full, bare] = aggregate(() => undefined)
    .render([FULL, windowRow("k", { sum: 0, rank: null })])
    .map(({ action }) => action.val.body);
  const digits = JSON.rawJSON === undefined ? "12345678901.123457" : "12345678901.123456789";
  const average = JSON.rawJSON === undefined ? "1.5" : "1.50";
  assert.equal(
    full,
    `{"key":"la\\"ptop","window_start":"2026-11-21T00:00:00Z","window_end":"2026-11-21T00:01:00.500Z","rank":1,"count":2,"sum":${digits},"min":0.1,"max":7,"average":${average},"distinct":0,"score":0.5}`,
  );
  assert.equal(bare, '{"key":"k","count":1,"sum":0}');
});

test("rows of windows become what a function makes of them", () => {
  const component = aggregate(() => undefined, {
    render(row, { top }) {
      if (row.rank > top) return undefined;
      if (row.key === "7") reject(`no number: ${row.key}`);
      return [document({ ...row, start: row.window?.start }, { id: row.key }), message("seen", row.count)];
    },
    settings: { top: 3 },
  });
  const rendered = render(component, [windowRow("a", { rank: 4 }), windowRow("7"), windowRow("b", { rank: 3, min: "1.5" })], { top: 3 });
  assert.deepEqual(rendered, [
    { change: 1, action: "reject", reason: "no number: 7" },
    { change: 2, action: "index", id: "b", body: { key: "b", rank: 3, isFinal: false, count: 1, sum: 1, min: 1.5 } },
    { change: 2, action: "emit", topic: "seen", body: 1 },
  ]);
  assert.equal(render(component, [windowRow("a", { rank: 4 })], { top: 4 }).length, 2);
  assert.throws(() => render(component, [], { tip: 4 }), { message: "transform.config: there is no setting `tip`, only `top`" });
});

test("a component is one of the two", () => {
  assert.throws(() => aggregate({ key: "a" }), /takes a function/);
  assert.throws(() => aggregate(() => undefined, { render: "row" }), /`render` is one of a row/);
  assert.throws(() => run(aggregate(() => undefined), []), TypeError);
  assert.throws(() => measure(transform(() => undefined), []), TypeError);
});
