// What has been counted: one key of one window.

import { Decimal } from "./decimal.js";

/** Numbers that may have more digits than a double are Decimals. What there is none of is undefined. */
export class WindowRow {
  constructor(record) {
    const { window, rank, count, sum, min, max, average, distinct, score } = record;
    this.window = window == null ? undefined : new Window(window);
    this.key = record.key;
    this.rank = rank ?? undefined;
    this.isFinal = record.isFinal;
    this.count = Number(count);
    this.sum = new Decimal(sum);
    this.min = digits(min);
    this.max = digits(max);
    this.average = digits(average);
    this.distinct = distinct == null ? undefined : Number(distinct);
    this.score = score ?? undefined;
  }
}

class Window {
  constructor({ startMs, endMs }) {
    this.startMs = Number(startMs);
    this.endMs = Number(endMs);
  }

  get start() {
    return instant(this.startMs);
  }

  get end() {
    return instant(this.endMs);
  }
}

/** What a row becomes where nothing renders it. */
export function document({ key, window, rank, count, sum, min, max, average, distinct, score }) {
  return { key, window_start: window?.start, window_end: window?.end, rank, count, sum, min, max, average, distinct, score };
}

/** RFC 3339, with milliseconds where there are some. */
function instant(ms) {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

function digits(text) {
  return text == null ? undefined : new Decimal(text);
}
