// What comes in: one change of one row.

import { UNAVAILABLE } from "./debezium.js";
import { parse } from "./json.js";
import { Rejection } from "./rejection.js";

/** Rows are JSON text, parsed only when the function asks. */
export class Change {
  #record;

  constructor(record) {
    this.#record = record;
  }

  get operation() {
    return this.#record.operation;
  }

  get source() {
    return this.#record.source;
  }

  get table() {
    return this.#record.table;
  }

  get version() {
    return this.#record.version;
  }

  get tsMs() {
    return this.#record.tsMs;
  }

  after(columns) {
    const text = this.#record.after;
    if (text == null) {
      throw new Rejection("a deleted row has no `after`");
    }
    return read(text, columns);
  }

  before(columns) {
    const text = this.#record.before;
    return text == null ? undefined : read(text, columns);
  }

  key(columns) {
    return read(this.#record.key, columns);
  }

  get afterText() {
    return this.#record.after ?? undefined;
  }

  get beforeText() {
    return this.#record.before ?? undefined;
  }

  get keyText() {
    return this.#record.key;
  }

  lacksColumns() {
    return this.#record.after?.includes(UNAVAILABLE) ?? false;
  }
}

function read(text, columns) {
  return columns === undefined ? parse(text) : columns.read(text);
}
