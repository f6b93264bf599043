// The one field that holds every word.

/** All texts within values, one after the other: not names and numbers. */
export function words(values) {
  const found = [];
  for (const value of values) {
    gather(value, found);
  }
  return found.join(" ");
}

function gather(value, found) {
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
