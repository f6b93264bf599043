// The one field that holds every word.

import type { Json } from "../../../sdk/js/rowmill.js";

/** All texts within values, one after the other: not names and numbers. */
export function words(values: (Json | undefined)[]): string {
  const found: string[] = [];
  for (const value of values) {
    gather(value, found);
  }
  return found.join(" ");
}

function gather(value: unknown, found: string[]): void {
  if (typeof value === "string") {
    if (value !== "") {
      found.push(value);
    }
  } else if (value !== null && typeof value === "object") {
    for (const item of Object.values(value)) {
      gather(item, found);
    }
  }
}
