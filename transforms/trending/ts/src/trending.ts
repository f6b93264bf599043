// What people search for, word by word, in windows of time: searches in, the words searched for most out.

import { aggregate, type Change, columns, type Measure, reject, type WindowRow } from "../../../sdk/js/rowmill.js";
import { words } from "./words.ts";

/** Who looks at trends looks at the first ones. */
const RANK_MAX = 10;

const settings = {
  /** Words that say nothing. */
  ignore: [] as string[],
};

const Search = columns({
  query: "text",
  // Milliseconds since 1970.
  at: "integer",
  user: "text",
  results: "integer",
});

/** What the index holds. */
interface Keyword {
  keyword: string;
  searches: number;
  users: number | undefined;
  rank: number | undefined;
  from: string | undefined;
}

function search(change: Change, { ignore }: typeof settings): Measure[] {
  const { query, at, user, results } = change.after(Search);
  if (query === undefined) {
    return [];
  }
  if (results !== undefined && results < 0) {
    reject(`the number of results is negative: ${results}`);
  }
  if (at === undefined) {
    reject("the search has no time: at is missing");
  }
  return words(query)
    .filter((word) => !ignore.includes(word))
    .map((word) => ({ key: word, timeMs: at, distinct: user }));
}

function keyword(row: WindowRow): Keyword | undefined {
  if (row.rank !== undefined && row.rank > RANK_MAX) {
    return undefined;
  }
  if (/^\d+$/.test(row.key)) {
    reject(`a number is no keyword: ${row.key}`);
  }
  return { keyword: row.key, searches: row.count, users: row.distinct, rank: row.rank, from: row.window?.start };
}

export default aggregate(search, { render: keyword, settings });
