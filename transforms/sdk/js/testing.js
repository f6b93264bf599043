// Runs a transform in Node.js, as Rowmill would. testing.d.ts says how.

import { parse } from "./lib/json.js";

export { counters, gauges, store } from "./lib/host.js";

const CHANGE = { source: "test", before: null, after: null, version: { first: 1, second: 1 }, tsMs: 0 };

export function row(table, row) {
  const after = typeof row === "string" ? row : JSON.stringify(row);
  const { id } = parse(after);
  return { ...CHANGE, operation: "create", table, key: id === undefined ? "null" : JSON.stringify({ id }), after };
}

export function deleted(table, key) {
  return { ...CHANGE, operation: "delete", table, key: JSON.stringify(key) };
}

export function run(component, changes, config = {}) {
  init(component, config);
  return component.transform(changes).map(output);
}

export function measure(aggregate, changes, config = {}) {
  init(aggregate, config);
  return aggregate.measure(changes).map(({ change, measured: { tag, val } }) => {
    return tag === "reject" ? { change, action: tag, reason: val } : { change, action: "measure", ...given(val) };
  });
}

export function windowRow(key, { sum = 1, min, max, average, ...fields } = {}) {
  const text = (number) => (number === undefined ? undefined : String(number));
  return { key, isFinal: false, count: 1, sum: text(sum), min: text(min), max: text(max), average: text(average), ...fields };
}

export function render(aggregate, rows, config = {}) {
  init(aggregate, config);
  return aggregate.render(rows).map(output);
}

function init(component, config) {
  try {
    component.init(JSON.stringify(config));
  } catch (reason) {
    throw new Error(reason);
  }
}

function output({ change, action: { tag, val } }) {
  if (tag === "reject") {
    return { change, action: tag, reason: val };
  }
  const { body, ...rest } = val;
  return { change, action: tag, ...given(rest), ...(tag !== "delete" && { body: parse(body) }) };
}

function given(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}
