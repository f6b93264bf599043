// The words of a query.

/** Letters and digits of ASCII, lower-cased, at least two in a row; each word once, in order. */
export function words(query: string): string[] {
  return [...new Set((query.match(/[a-z0-9]{2,}/gi) ?? []).map((word) => word.toLowerCase()))];
}
