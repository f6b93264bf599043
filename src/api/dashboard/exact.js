// JSON with its numbers as they were written: a price of 12.50 stays 12.50, and a version of 63 bits keeps its digits.

const canKeep = typeof JSON.rawJSON === "function";

/** Reads JSON; a number that JavaScript would write otherwise is kept as its text. */
export function parseExactly(text) {
  if (!canKeep) return JSON.parse(text);
  return JSON.parse(text, (_, value, { source }) => (typeof value === "number" && String(value) !== source ? JSON.rawJSON(source) : value));
}

const isKept = (value) => canKeep && JSON.isRawJSON(value);

/** A value that is no list and no object, as text. */
export const textOf = (value) => (isKept(value) ? value.rawJSON : String(value));

/** Whether a value is a number, kept as text or not. */
export const isNumber = (value) => typeof value === "number" || isKept(value);

/** Every value that is no list and no object, with its path. */
export function* leaves(value, path = "") {
  if (value === null || typeof value !== "object" || isKept(value)) return yield [path, value];
  for (const [name, inner] of Object.entries(value)) yield* leaves(inner, path === "" ? name : `${path}.${name}`);
}
