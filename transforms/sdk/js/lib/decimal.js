// Exact numbers.

import { decimal as fromBase64 } from "./debezium.js";
import { Rejection } from "./rejection.js";

// The grammar of a JSON number: what passes is written into documents as it stands.
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

// Node.js has it from version 22 on; before that, tests see the nearest float. A component always has it.
const rawJSON = JSON.rawJSON ?? Number;

export class Decimal {
  // Private, so that code that walks through values finds no text in it.
  #digits;

  constructor(digits) {
    if (!NUMBER.test(digits)) {
      throw new Rejection(`\`${digits}\` is not a decimal number`);
    }
    this.#digits = digits;
  }

  /** What Debezium makes of a `numeric`: a text, a number, or `{"scale":2,"value":"BOI="}`. */
  static of(value) {
    switch (typeof value) {
      case "string":
        return new Decimal(value);
      case "number":
      case "bigint":
        return new Decimal(String(value));
    }
    if (value instanceof Decimal) {
      return value;
    }
    if (typeof value?.scale === "number" && typeof value.value === "string") {
      return new Decimal(fromBase64(value.value, value.scale));
    }
    throw new Rejection(`${JSON.stringify(value)} is not a decimal number`);
  }

  isNegative() {
    return this.#digits.startsWith("-") && !this.isZero();
  }

  isZero() {
    return /^-?[0.]+(?:[eE]|$)/.test(this.#digits);
  }

  toNumber() {
    return Number(this.#digits);
  }

  toString() {
    return this.#digits;
  }

  toJSON() {
    return rawJSON(this.#digits);
  }
}

Object.defineProperty(BigInt.prototype, "toJSON", {
  value() {
    return rawJSON(String(this));
  },
  configurable: true,
});
