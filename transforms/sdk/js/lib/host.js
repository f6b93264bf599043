// The host, when there is none: for tests in Node.js. A component has host.component.js in its place (see package.json).

export const counters = new Map();
export const gauges = new Map();
const values = new Map();

export function count(name, delta = 1) {
  counters.set(name, (counters.get(name) ?? 0) + delta);
}

export function gauge(name, value) {
  gauges.set(name, value);
}

export const store = {
  get(key) {
    const text = values.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  },
  set(key, value) {
    values.set(key, JSON.stringify(value));
  },
  delete(key) {
    values.delete(key);
  },
  has(key) {
    return values.has(key);
  },
  increment(key, delta = 1) {
    const sum = (this.get(key) ?? 0) + delta;
    this.set(key, sum);
    return sum;
  },
  *keys() {
    yield* values.keys();
  },
};
