// What the host gives to a transform: log, counters, the store.

import * as atomics from "wasi:keyvalue/atomics@0.2.0-draft";
import * as keyvalue from "wasi:keyvalue/store@0.2.0-draft";
import { parse } from "./json.js";

export { count, gauge, log } from "./host.metrics.js";

let opened;

/** Asks something of the pipeline's store. */
function ask(question) {
  try {
    opened ??= keyvalue.open("default");
    return question(opened);
  } catch (error) {
    const { tag, val } = error?.payload ?? {};
    throw tag === undefined ? error : new Error(`the store: ${val ?? tag}`);
  }
}

export const store = {
  get(key) {
    const bytes = ask((bucket) => bucket.get(key));
    return bytes === null ? undefined : parse(fromUtf8(bytes));
  },
  set(key, value) {
    const text = JSON.stringify(value);
    if (text === undefined) {
      throw new TypeError(`the store: ${typeof value} is no value that JSON has`);
    }
    ask((bucket) => bucket.set(key, toUtf8(text)));
  },
  delete(key) {
    ask((bucket) => bucket.delete(key));
  },
  has(key) {
    return ask((bucket) => bucket.exists(key));
  },
  increment(key, delta = 1) {
    return ask((bucket) => atomics.increment(bucket, key, delta));
  },
  *keys() {
    let cursor = null;
    do {
      const page = ask((bucket) => bucket.listKeys(cursor));
      yield* page.keys;
      cursor = page.cursor;
    } while (cursor !== null);
  },
};

// QuickJS has no TextEncoder.
function toUtf8(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));
}

function fromUtf8(bytes) {
  let binary = "";
  for (const byte of bytes) {
    binary += String.fromCharCode(byte);
  }
  return decodeURIComponent(escape(binary));
}
