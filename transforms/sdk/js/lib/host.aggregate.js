// What the host gives to an aggregate: no store.

export { count, gauge, log } from "./host.metrics.js";

function none() {
  throw new Error("the store: there is none in an aggregate: what it returns is counted by Rowmill");
}

export const store = { get: none, set: none, delete: none, has: none, increment: none, keys: none };
