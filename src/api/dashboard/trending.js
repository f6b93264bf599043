// What is searched for most, and the searches on this page: only where they are logged, as in the demo.

import { ask } from "./ask.js";
import { count, element, keep, say, show } from "./dom.js";

const FIRST = 5;
/** So long after the last letter a search is taken for meant. */
const SETTLED_MS = 1_200;

const at = (id) => document.getElementById(id);
const [form, collection, query, panel, list, empty] = ["search", "collection", "query", "trending", "top", "top-empty"].map(at);
/** The collection whose searches count; undefined where none are logged. */
const logged = document.body.dataset.searchLog;

let settling = null;
let last = "";

/** Starts to tell of searches. */
export function startTrending() {
  if (logged === undefined) return;
  show(panel, true);
  query.addEventListener("input", () => {
    clearTimeout(settling);
    settling = setTimeout(() => query.value.trim() !== last && tell(), SETTLED_MS);
  });
  // Who follows a link to an answer has searched, too.
  if (query.value !== "") settling = setTimeout(tell, SETTLED_MS);
  // Who presses Enter means it, also a second time.
  form.addEventListener("submit", tell);
}

/** Once a second, also while one types. */
export async function refreshTrending() {
  if (logged === undefined) return;
  const stillOpen = { "filter.window_end.from": new Date().toISOString(), sort_by: "window_end", sort_order: "asc", limit: FIRST };
  let hits = [];
  try {
    ({ hits } = await ask(`/api/v1/trending/search?${new URLSearchParams(stillOpen)}`));
  } catch (error) {
    // Before the first search there is no such collection.
    if (error.status !== 404) throw error;
  }
  // Windows overlap: of those that are still open, the one that ends first has counted for the longest.
  const rows = hits.map((hit) => hit.document).filter((row) => row.window_end === hits[0].document.window_end);
  keep(list, rows.sort((one, other) => one.rank - other.rank), (row) => row.key, makeRow);
  show(empty, rows.length === 0);
}

function makeRow({ key }) {
  const button = element("button", { type: "button", class: "small", text: key });
  const times = element("b");
  const node = element("li", {}, button, " ", times);
  button.addEventListener("click", () => {
    [collection.value, query.value] = [logged, key];
    form.requestSubmit();
  });
  node.update = ({ count: searches }) => say(times, count(searches));
  return node;
}

function tell() {
  clearTimeout(settling);
  last = query.value.trim();
  if (last === "" || collection.value !== logged) return;
  // What is not logged is not counted; the page shows by itself when the server is gone.
  ask("/dashboard/searches", { method: "POST", body: last }).catch(() => {});
}
