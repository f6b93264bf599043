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
  try {
    component.init(JSON.stringify(config));
  } catch (reason) {
    throw new Error(reason);
  }
  return component.transform(changes).map(({ change, action: { tag, val } }) => {
    if (tag === "reject") {
      return { change, action: tag, reason: val };
    }
    const told = Object.entries(val).filter(([name, value]) => name !== "body" && value !== null);
    return { change, action: tag, ...Object.fromEntries(told), ...(tag !== "delete" && { body: parse(val.body) }) };
  });
}
