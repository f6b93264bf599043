// Making and changing what is shown. Text only ever becomes text: nothing here reads HTML.

/** Makes an element: attributes by name, `class` and `text` among them, then its children. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Makes an element of a drawing. */
export function drawing(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Sets a text only where it differs, so that selections and screen readers are left alone. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows or hides. */
export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/**
 * Makes the children of `parent` match `items`, keeping the node of an item that is still there (and with it focus and
 * what is folded open). `make(item)` gives a node; `node.update(item)` brings it up to date.
 */
export function keep(parent, items, keyOf, make) {
  const old = parent.kept ?? new Map();
  const kept = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const node = old.get(key) ?? make(item);
    kept.set(key, node);
    node.update(item);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const [key, node] of old) if (!kept.has(key)) node.remove();
  parent.kept = kept;
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** `12,345`. */
export const count = (number) => whole.format(number);

/** `12.3K`. */
export const brief = (number) => short.format(number);

/** `12.3`, and no digits after the point where they say nothing. */
export const rate = (number) => (number >= 100 ? brief(Math.round(number)) : whole.format(Math.round(number * 10) / 10));

/** `1.5 MiB`. */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

/** `3 min`. */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** `3 min ago`. */
export const ago = (ms) => (Date.now() - ms < 1500 ? "just now" : `${duration((Date.now() - ms) / 1000)} ago`);
