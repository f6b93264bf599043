// What a transform imports. rowmill.d.ts has the types and says what each of these is for.

export { aggregate } from "./lib/aggregate.js";
export { Change } from "./lib/change.js";
export { columns } from "./lib/columns.js";
export { transform } from "./lib/component.js";
export * as debezium from "./lib/debezium.js";
export { Decimal } from "./lib/decimal.js";
export { count, gauge, store } from "#host";
export { deletion, document, message } from "./lib/outputs.js";
export { reject } from "./lib/rejection.js";
