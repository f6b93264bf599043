// What a change counts for.

import { Decimal } from "./decimal.js";
import { Rejection } from "./rejection.js";

const NAMES = ["key", "timeMs", "weight", "distinct"];

/** The measures an answer stands for: all of them, or an exception and none. */
export function measures(answer) {
  if (Array.isArray(answer)) {
    return answer.filter((one) => one !== undefined && one !== null).map(measure);
  }
  return answer === undefined || answer === null ? [] : [measure(answer)];
}

function measure(one) {
  if (one instanceof Promise) {
    throw new Rejection("the function is async: an aggregate has nothing to wait for");
  }
  if (typeof one !== "object" || Array.isArray(one)) {
    throw new Rejection(`a measure is an object, and not ${told(one)}`);
  }
  const unknown = Object.keys(one).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new Rejection(`a measure has no \`${unknown}\`, only ${NAMES.map((name) => `\`${name}\``).join(", ")}`);
  }
  const key = text("key", one.key);
  if (key === null) {
    throw new Rejection("a measure needs a `key`");
  }
  // A weight that is named and missing is not 1: what it was meant to be is not known.
  const weight = "weight" in one ? number(one.weight) : 1;
  return { key, timeMs: time(one.timeMs), weight, distinct: text("distinct", one.distinct) };
}

function text(name, value) {
  if (value === undefined || value === null) {
    return null;
  }
  if (typeof value === "boolean" || (typeof value === "object" && !(value instanceof Decimal)) || typeof value === "function") {
    throw new Rejection(`\`${name}\` of a measure: expected a text, found ${told(value)}`);
  }
  return String(value);
}

function time(value) {
  if (value === undefined || value === null) {
    return null;
  }
  const ms = typeof value === "bigint" ? Number(value) : value;
  if (!Number.isSafeInteger(ms) || ms < 0) {
    throw new Rejection(`\`timeMs\` of a measure: expected whole milliseconds since 1970, found ${told(value)}`);
  }
  return ms;
}

function number(value) {
  const isNumeric = typeof value === "number" || typeof value === "bigint" || value instanceof Decimal;
  const weight = isNumeric ? Number(value) : NaN;
  if (!Number.isFinite(weight)) {
    throw new Rejection(`\`weight\` of a measure: expected a number, found ${told(value)}`);
  }
  return weight;
}

function told(value) {
  return (typeof value === "number" ? undefined : JSON.stringify(value)) ?? String(value);
}
