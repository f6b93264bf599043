// What the host gives in both worlds: log, counters.

import * as metrics from "rowmill:transform/metrics@1.0.0";

export { log } from "wasi:logging/logging@0.1.0-draft";

export function count(name, delta = 1) {
  metrics.count(name, delta);
}

export function gauge(name, value) {
  metrics.gauge(name, value);
}
