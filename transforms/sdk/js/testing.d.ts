// Types of testing.js: runs a transform in Node.js, as Rowmill would. Node.js 22 or newer, where numbers are to keep all their digits.

import type { Aggregate, Component } from "./rowmill.js";

declare const change: unique symbol;
export interface TestChange {
  readonly [change]: true;
}

/** An inserted row, as an object or as JSON text; its key is its column `id`. */
export function row(table: string, row: object | string): TestChange;
/** A deleted row, by its key. */
export function deleted(table: string, key: object): TestChange;

export interface TestOutput {
  /** Which change it comes from, from 0. */
  change: number;
  action: "index" | "delete" | "emit" | "reject";
  id?: string;
  index?: string;
  routing?: string;
  topic?: string;
  key?: string;
  reason?: string;
  body?: any;
}

/** `init` with the settings, then one batch. Throws when the settings are refused. */
export function run(component: Component, changes: TestChange[], config?: object): TestOutput[];

export interface TestMeasure {
  /** Which change it comes from, from 0. */
  change: number;
  action: "measure" | "reject";
  key?: string;
  timeMs?: number;
  weight?: number;
  distinct?: string;
  reason?: string;
}

/** `init` with the settings, then what one batch counts for. */
export function measure(aggregate: Aggregate, changes: TestChange[], config?: object): TestMeasure[];

declare const counted: unique symbol;
export interface TestWindowRow {
  readonly [counted]: true;
}

/** One key of one window: counted once, unless `fields` say otherwise. */
export function windowRow(
  key: string,
  fields?: {
    window?: { startMs: number; endMs: number };
    rank?: number;
    isFinal?: boolean;
    count?: number;
    sum?: number | string;
    min?: number | string;
    max?: number | string;
    average?: number | string;
    distinct?: number;
    score?: number;
  },
): TestWindowRow;

/** `init` with the settings, then what becomes of rows of windows; `change` is the place of the row. */
export function render(aggregate: Aggregate, rows: TestWindowRow[], config?: object): TestOutput[];

/** What `count` and `gauge` were given, and what is in the store. */
export const counters: Map<string, number>;
export const gauges: Map<string, number>;
export { store } from "./rowmill.js";
