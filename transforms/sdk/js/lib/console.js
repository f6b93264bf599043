// `console` goes to Rowmill's log: QuickJS has none.

import { log } from "#host";
import { reason } from "./place.js";

const LEVELS = { trace: "trace", debug: "debug", log: "info", info: "info", warn: "warn", error: "error" };

/** Lines of the build, when the module is evaluated and there is no host yet. */
const waiting = [];
const WAITING_MAX = 100;
let hosted = false;

export function hostIsThere() {
  hosted = true;
  for (const [level, line] of waiting.splice(0)) {
    log(level, "", line);
  }
}

globalThis.console = {};
for (const [name, level] of Object.entries(LEVELS)) {
  console[name] = (...values) => {
    const line = values.map(text).join(" ");
    if (hosted) {
      log(level, "", line);
    } else if (waiting.length < WAITING_MAX) {
      waiting.push([level, line]);
    }
  };
}

function text(value) {
  if (typeof value === "string") {
    return value;
  }
  if (value instanceof Error) {
    return reason(value);
  }
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
