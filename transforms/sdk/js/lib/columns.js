// Rows with types: which columns are used, and what each must hold.

import { UNAVAILABLE } from "./debezium.js";
import { Decimal } from "./decimal.js";
import { parse } from "./json.js";
import { Rejection } from "./rejection.js";

/** Thrown where a double may not hold the number that the row has: then the row is read again, number by number. */
const INEXACT = Symbol("inexact");

/** What a column may hold. Each gets a value that is not null, and whether its numbers are known to be as they stand in the row. */
const KINDS = {
  text: (value) => (typeof value === "string" ? value : misfit("a text", value)),
  boolean: (value) => (typeof value === "boolean" ? value : misfit("true or false", value)),
  number: (value) => (isNumeric(value) ? Number(value) : misfit("a number", value)),
  integer(value, exact) {
    if (Number.isSafeInteger(value)) {
      return value;
    }
    if (exactly(value, exact) && typeof value === "bigint") {
      throw new Rejection(`${value} is too large for an integer: read it as bigint`);
    }
    return misfit("a whole number", value);
  },
  bigint(value, exact) {
    if (Number.isSafeInteger(value)) {
      return BigInt(value);
    }
    return exactly(value, exact) && typeof value === "bigint" ? value : misfit("a whole number", value);
  },
  decimal(value, exact) {
    if (typeof value !== "string") {
      exactly(value, exact);
    }
    return Decimal.of(value);
  },
  json(value, exact) {
    if (typeof value !== "string") {
      return exactly(value, exact) && value;
    }
    try {
      return parse(value);
    } catch (error) {
      throw new Rejection(error.message);
    }
  },
  object(value, exact) {
    const json = KINDS.json(value, exact);
    const is = json !== null && typeof json === "object" && !Array.isArray(json) && !(json instanceof Decimal);
    return is ? json : misfit("an object", json);
  },
  any: (value, exact) => (typeof value === "string" || Number.isSafeInteger(value) ? value : exactly(value, exact) && value),
};

class Columns {
  #list;
  #exact = false;

  constructor(types) {
    this.#list = Object.entries(types).map(([name, type]) => column(name, type));
  }

  read(text) {
    if (!this.#exact) {
      try {
        return pick(this.#list, JSON.parse(text), false);
      } catch (error) {
        if (error !== INEXACT) {
          throw error;
        }
        // Where one row of a table has such a number, most have.
        this.#exact = true;
      }
    }
    return pick(this.#list, parse(text), true);
  }
}

function pick(list, row, exact) {
  if (row === null || typeof row !== "object") {
    throw new Rejection(row === null ? "the table has no key" : "the row is no object");
  }
  const picked = {};
  for (let at = 0; at < list.length; at++) {
    const column = list[at];
    const value = row[column.name];
    picked[column.name] = typeof value === column.taken && value !== UNAVAILABLE ? value : convert(column, value, exact);
  }
  return picked;
}

function convert({ name, read, required }, value, exact) {
  if (value === undefined || value === null) {
    if (required) {
      throw new Rejection(`column \`${name}\` is ${value === null ? "null" : "missing"}`);
    }
    return undefined;
  }
  if (value === UNAVAILABLE) {
    // A document without the value would wipe out what the index has.
    throw new Rejection(`${name} did not change and was not sent by the database: set state.keep = "rows"`);
  }
  try {
    return read(value, exact);
  } catch (error) {
    throw error instanceof Rejection ? new Rejection(`column \`${name}\`: ${error.message}`) : error;
  }
}

export function columns(types) {
  return new Columns(types);
}

/** A column: its name, what reads it, whether it must be there, and the type of values that are taken as they are. */
function column(name, type) {
  if (typeof type === "function") {
    return { name, read: own(type) };
  }
  const [, kind, list, required] = /^([a-z]+)(\[\])?(!)?$/.exec(type) ?? [];
  if (!Object.hasOwn(KINDS, kind ?? "")) {
    const kinds = Object.keys(KINDS).join(", ");
    throw new TypeError(
      `column \`${name}\`: there is no type \`${type}\`, only ${kinds}, with [] for a list of it and ! where it must be there`,
    );
  }
  const one = KINDS[kind];
  const taken = { text: "string", any: "string", boolean: "boolean" }[kind];
  return { name, read: list ? items(one) : one, required: required !== undefined, taken: list ? undefined : taken };
}

/** A function of the user's gets numbers that have all their digits. */
function own(read) {
  return (value, exact) => {
    if (!Number.isSafeInteger(value)) {
      exactly(value, exact);
    }
    return read(value);
  };
}

function items(one) {
  return (value, exact) =>
    Array.isArray(value) ? value.map((item) => (item === null ? null : one(item, exact))) : misfit("a list", value);
}

function isNumeric(value) {
  return typeof value === "number" || typeof value === "bigint" || value instanceof Decimal;
}

/** Passes what cannot have lost digits. */
function exactly(value, exact) {
  if (!exact && (typeof value === "number" || typeof value === "object")) {
    throw INEXACT;
  }
  return true;
}

function misfit(expected, value) {
  const found = JSON.stringify(value) ?? String(value);
  throw new Rejection(`expected ${expected}, found ${found.length > 60 ? `${found.slice(0, 60)}…` : found}`);
}
