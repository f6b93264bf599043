// Types of rowmill.js, for TypeScript and for editors.

/** What happened to a row. `read`: it was read from a snapshot. `refresh`: it is as it was, but something it read, or the code, has changed. */
export type Operation = "create" | "update" | "delete" | "read" | "refresh";

/** One change of one row. Rows are JSON text, parsed only when the function asks. */
export interface Change {
  readonly operation: Operation;
  /** The name of the source, as the change events call it (Debezium's `topic.prefix`, or the topic). */
  readonly source: string;
  /** `schema.table` (MySQL: `database.table`). */
  readonly table: string;
  /** The place of this change in the history of its row; compared as a pair. Beyond 2^53 the last digits are lost. */
  readonly version: { readonly first: number; readonly second: number };
  /** When the change was committed at the source, in milliseconds since 1970-01-01 UTC; 0 when not known. */
  readonly tsMs: number;

  /**
   * The row as it is now: the columns asked for, each checked. A row that does not fit is rejected with the name of the column. A column
   * that is null or missing is `undefined`, which a document leaves out.
   */
  after<R>(columns: Columns<R>): R;
  /** The row as it stands, nulls and all. Numbers that a double cannot hold are a BigInt or a {@link Decimal}. Takes twice as long. */
  after(): { [column: string]: any };
  /** The row before the change: with `before = true` in the configuration, where the source knew it. */
  before<R>(columns: Columns<R>): R | undefined;
  before(): { [column: string]: any } | undefined;
  /** The key columns; `null` for a table without a key. */
  key<R>(columns: Columns<R>): R;
  key(): { [column: string]: any } | null;

  /** The JSON text of the row as it is now; none for a delete. */
  readonly afterText: string | undefined;
  readonly beforeText: string | undefined;
  /** The JSON text of the key: an object, or `null`. */
  readonly keyText: string;
  /** Whether some column was not sent by the database, because it is long and did not change: see {@link debezium.UNAVAILABLE}. */
  lacksColumns(): boolean;
}

/** Anything that JSON has; numbers that a double cannot hold are a BigInt or a {@link Decimal}. */
export type Json = null | boolean | number | bigint | string | Decimal | Json[] | { [name: string]: Json };

interface Kinds {
  text: string;
  boolean: boolean;
  /** A double: digits beyond its 15 to 17 are lost. */
  number: number;
  /** A whole number up to 2^53; a larger one is rejected. */
  integer: number;
  /** A whole number of any size. */
  bigint: bigint;
  /** `numeric`, in any of the forms in which Debezium sends it. */
  decimal: Decimal;
  /** `json` or `jsonb`: parsed, also where it comes as a text. */
  json: Json;
  /** The same, where it is to be an object: an index takes no field that is now an object and now a number. */
  object: { [name: string]: Json };
  /** What is only handed on. */
  any: Json;
}
type Kind = keyof Kinds;

/** `"text"` is a text that may be null or missing, `"text!"` one that may not, `"text[]"` a list. A function reads the column itself. */
export type ColumnType = Kind | `${Kind}!` | `${Kind}[]` | `${Kind}[]!` | ((value: any) => unknown);

type Value<T> = T extends (value: any) => infer V
  ? V | undefined
  : T extends `${infer K extends Kind}[]!`
    ? (Kinds[K] | null)[]
    : T extends `${infer K extends Kind}[]`
      ? (Kinds[K] | null)[] | undefined
      : T extends `${infer K extends Kind}!`
        ? Kinds[K]
        : T extends Kind
          ? Kinds[T] | undefined
          : never;

/** Columns of a table and their types. */
export interface Columns<R> {
  /** Reads the JSON text of a row. */
  read(text: string): R;
}

/** The type of a row: `type Product = Row<typeof Product>`. */
export type Row<C> = C extends Columns<infer R> ? R : never;

/**
 * Says which columns are used, and what they hold: `columns({ id: "bigint!", name: "text", price: "decimal", tags: "text[]" })`. Others are
 * skipped. A value that the database did not send because it did not change is rejected, so that no document loses it.
 */
export function columns<const T extends { readonly [column: string]: ColumnType }>(
  types: T,
): Columns<{ -readonly [C in keyof T]: Value<T[C]> }>;

/** A number with all its digits. In a document it is a number, in a text its digits. */
export class Decimal {
  /** Takes digits in the grammar of a JSON number. */
  constructor(digits: string);
  /** Takes what Debezium makes of a `numeric`: a text, a number, or `{"scale":2,"value":"BOI="}`. */
  static of(value: unknown): Decimal;
  /** Whether it is below zero; `-0.00` is not. */
  isNegative(): boolean;
  isZero(): boolean;
  /** The nearest double: for sorting and scoring, not for money. */
  toNumber(): number;
  toString(): string;
  toJSON(): unknown;
}

declare const output: unique symbol;

/** What {@link document}, {@link deletion} and {@link message} give. */
export interface Output {
  readonly [output]: true;
}

type Text = string | number | bigint | null | undefined;

/** Where a document is; what is left out is the row's key, the pipeline's index, no routing. */
export interface Place {
  id?: Text | Decimal;
  index?: string | undefined;
  routing?: Text;
}

/** A document that says where it is. Without options, the body alone does. */
export function document(body: object, options?: Place): Output;
/** Deletes a document. Seldom needed: what a row produced before and does not produce now, Rowmill deletes. */
export function deletion(options?: Place): Output;
/** Something to be sent on, apart from the documents. Messages with the same key stay in order. */
export function message(topic: string, body: unknown, options?: { key?: Text }): Output;

/** Rejects the change, with this reason: it becomes a dead letter, and the rest of its batch goes on. So does any exception. */
export function reject(reason: string): never;

/** A document's body, an {@link Output}, nothing, or a list of these. */
export type Answer = object | null | undefined | void;

/** What a module exports by default: a transform. */
export interface Component {
  init(config: string): void;
  transform(changes: readonly unknown[]): unknown[];
}

interface WithSettings<S> {
  /**
   * The settings there are, each with its default. Another setting, or one of another type than its default, is refused. Or a function that
   * makes the settings of `transform.config` itself, once for each instance; what it throws is the refusal.
   */
  settings?: S | ((config: { [setting: string]: any }) => S);
}

export interface Options<S> extends WithSettings<S> {
  /** Whether the function is called for deletes too, which are otherwise Rowmill's affair. */
  deletes?: boolean;
}

/** Makes a component of a function: `export default transform(product, { settings: { currency: "EUR" } })`. */
export function transform<S = {}>(f: (change: Change, settings: Readonly<S>) => Answer, options?: Options<S>): Component;

/** What a change counts for. */
export interface Measure {
  /** What is counted: the group. At most 480 bytes, not empty. */
  key: string | number | bigint | Decimal;
  /** When, in milliseconds since 1970-01-01 UTC: this decides the window. Default: the change's `tsMs`. */
  timeMs?: number | bigint | null | undefined;
  /** How much. Left out, it is 1, which counts occurrences. */
  weight?: number | bigint | Decimal;
  /** What the aggregate `distinct` tells apart (a user, a session). */
  distinct?: Text | Decimal;
}

/** A measure, nothing, or a list of these. */
export type Measured = Measure | null | undefined | void | readonly (Measure | null | undefined)[];

/** One key of one window, as it stands now. What there is none of, or what the configuration does not ask for, is `undefined`. */
export interface WindowRow {
  /**
   * From `startMs`, included, to `endMs`, not included; `start` and `end` are the same as text: `2026-11-21T00:00:00Z`. None: the pipeline
   * has no window, and counts the whole table.
   */
  readonly window: { readonly startMs: number; readonly endMs: number; readonly start: string; readonly end: string } | undefined;
  readonly key: string;
  /** From 1; none: the pipeline ranks nothing. */
  readonly rank: number | undefined;
  /** Whether the window is closed: then this is the last word on it. */
  readonly isFinal: boolean;
  /** Measures. */
  readonly count: number;
  /** The sum of their weights. */
  readonly sum: Decimal;
  readonly min: Decimal | undefined;
  readonly max: Decimal | undefined;
  readonly average: Decimal | undefined;
  /** How many different values of `distinct` there were. */
  readonly distinct: number | undefined;
  /** The sum of the weights, each halved with every half-life since its time. */
  readonly score: number | undefined;
}

/** What a module exports by default: an aggregate. */
export interface Aggregate {
  init(config: string): void;
  measure(changes: readonly unknown[]): unknown[];
  render(rows: readonly unknown[]): unknown[];
}

export interface AggregateOptions<S> extends WithSettings<S> {
  /**
   * Makes the documents: of each key of each window, as often as it changes. A document without an id gets one of window and key. Without
   * this function they hold `key`, `window_start`, `window_end`, `rank`, `count`, `sum`, and what else the configuration computes.
   */
  render?: (row: WindowRow, settings: Readonly<S>) => Answer;
}

/**
 * Makes a component that counts: `export default aggregate(sale, { render: bestseller })`, for a pipeline with a table `window` or
 * `aggregate`. The function is not called for deletes: Rowmill knows what the row had added.
 */
export function aggregate<S = {}>(
  measure: (change: Change, settings: Readonly<S>) => Measured,
  options?: AggregateOptions<S>,
): Aggregate;

/** Adds to a counter of your own: `rowmill_guest_counter_total{pipeline,name}`. A name has at most 64 characters of `a-z0-9_`. */
export function count(name: string, delta?: number): void;
/** Sets a gauge of your own: `rowmill_guest_gauge{pipeline,name}`. */
export function gauge(name: string, value: number): void;

/** The pipeline's key-value store: values are anything that JSON has. It changes in the write that commits the batch, or not at all. An aggregate has none. */
export const store: {
  get(key: string): any;
  set(key: string, value: unknown): void;
  delete(key: string): void;
  has(key: string): boolean;
  /** Adds to a counter, which begins at 0, and gives the sum. */
  increment(key: string, delta?: number): number;
  keys(): Iterable<string>;
};

/** What Debezium makes of values that JSON has no type for. */
export declare namespace debezium {
  /** Stands in place of a long value that did not change. With `state.keep = "rows"` Rowmill fills it in before the transform sees the row. */
  const UNAVAILABLE: "__debezium_unavailable_value";
  function isUnavailable(value: unknown): boolean;
  /** `date(19782)` is `2024-02-29`. */
  function date(days: number): string;
  /** `timestampMillis(1710041400654)` is `2024-03-10T03:30:00.654Z`. */
  function timestampMillis(millis: number): string;
  /** `timestampMicros(1710041400654321)` is `2024-03-10T03:30:00.654321Z`. */
  function timestampMicros(micros: number): string;
  function timestampNanos(nanos: number | bigint): string;
  /** The bytes of a `bytea` column. */
  function bytes(base64: string): Uint8Array;
  /** `decimal("BNM=", 2)` is the digits `12.35`. */
  function decimal(base64: string, scale: number): string;
}

declare global {
  interface Console {
    trace(...values: unknown[]): void;
    debug(...values: unknown[]): void;
    log(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
  }
  /** Writes to Rowmill's log. */
  var console: Console;
}
