// Types of testing.js: runs a transform in Node.js, as Rowmill would. Node.js 22 or newer, where numbers are to keep all their digits.

import type { Component } from "./rowmill.js";

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

/** What `count` and `gauge` were given, and what is in the store. */
export const counters: Map<string, number>;
export const gauges: Map<string, number>;
export { store } from "./rowmill.js";
