// Finding the words of a question in the text of an answer. Plain functions on data.

const WORD = /[\p{L}\p{N}]+/gu;
const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** The words of a question. */
export const wordsOf = (text) => (text.match(WORD) ?? []).map(fold);

/** `text` in pieces `{ text, hit }`, where those that match one of `words` are hits. */
export function pieces(text, words, fuzzy) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(WORD)) {
    if (!words.some((word) => isLike(fold(match[0]), word, fuzzy))) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), hit: false });
    parts.push({ text: match[0], hit: true });
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), hit: false });
  return parts;
}

/** The part of a long text around its first hit; none where nothing hits. */
export function excerpt(text, words, fuzzy, width) {
  const parts = pieces(text, words, fuzzy);
  const first = parts.findIndex((part) => part.hit);
  if (first < 0) return null;
  const before = parts.slice(0, first).map((part) => part.text).join("");
  const start = before.length > width / 2 ? before.length - Math.floor(width / 3) : 0;
  const cut = text.slice(start, start + width);
  return `${start > 0 ? "…" : ""}${cut}${start + width < text.length ? "…" : ""}`;
}

function isLike(found, word, fuzzy) {
  if (found === word) return true;
  const letters = !fuzzy || word.length < 3 ? 0 : word.length < 6 ? 1 : 2;
  return letters > 0 && Math.abs(found.length - word.length) <= letters && distance(found, word) <= letters;
}

/** How many letters differ; two that changed places count once. */
function distance(left, right) {
  let beforeLast = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const line = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      line[column] = Math.min(last[column] + 1, line[column - 1] + 1, last[column - 1] + (same ? 0 : 1));
      const swapped = row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) line[column] = Math.min(line[column], beforeLast[column - 2] + 1);
    }
    [beforeLast, last] = [last, line];
  }
  return last[right.length];
}
