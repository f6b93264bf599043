// The documents: what matches the question, and what becomes of it while one looks.

import { ask } from "./ask.js";
import { count, element, keep, say, show } from "./dom.js";
import { isNumber, leaves, textOf } from "./exact.js";
import { excerpt, pieces, wordsOf } from "./words.js";

const PAGE = 10;
const LIMIT_MAX = 100;
/** How long a change stays written beside its document. */
const CHANGE_SHOWN_MS = 8_000;
const TITLES = ["title", "name", "subject", "headline", "label", "display_name", "full_name", "customer", "email"];
const SUMMARY_FIELDS = 5;
/** Documents remembered to tell what changed in them, also when they left the page in between. */
const KNOWN_MAX = 2_000;
/** Fields that say when a document last changed, best first; without words to look for, the newest come first. */
const TIMES = [/^(updated|modified|changed)_?(at|on)$/i, /^last_?(updated|modified)/i, /_at$/, /date|timestamp/i];
const ISO_DATE = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)?$/;

const at = (id) => document.getElementById(id);
const [form, collection, query, fuzzy, live, sort] = ["search", "collection", "query", "fuzzy", "live", "sort"].map(at);
const [found, hits, more] = ["found", "hits", "more"].map(at);

let limit = PAGE;
let running = null;
/** What was seen since the question was asked, by id: what changes is told against it. Null after a new question. */
let known = null;
/** Collections and the field of each that tells the newest; null where there is none, or none that can be sorted by. */
const newestBy = new Map();

/** Reads the question out of the address, and starts to listen. */
export function startSearch() {
  const address = new URLSearchParams(location.search);
  query.value = address.get("q") ?? "";
  fuzzy.checked = address.get("fuzzy") !== "false";
  collection.dataset.wanted = address.get("collection") ?? document.body.dataset.searchLog ?? "";
  form.addEventListener("submit", (event) => (event.preventDefault(), searchAnew()));
  for (const control of [query, collection, fuzzy, sort]) control.addEventListener("input", searchAnew);
  collection.addEventListener("input", () => (delete collection.dataset.wanted, resetSort()));
  more.addEventListener("click", () => {
    limit = Math.min(limit + PAGE, LIMIT_MAX);
    search();
  });
}

/** Once a second: which collections there are, and, live, what matches now. */
export async function refreshSearch() {
  const { collections } = await ask("/api/v1/collections");
  const first = collection.options.length === 0 || collection.options[0].value === "";
  offer(collections);
  if (collections.length === 0) {
    known = null;
    hits.replaceChildren();
    hits.kept = undefined;
    show(more, false);
    say(found, "No documents yet. They appear here as soon as a pipeline has written some to a sink that can be searched.");
  } else if (first || (live.checked && running === null)) {
    await search();
  }
}

function offer(collections) {
  const names = [...collection.options].map((option) => option.value);
  collection.disabled = collections.length === 0;
  if (collections.length === 0) {
    if (names.length !== 1 || names[0] !== "") collection.replaceChildren(element("option", { value: "", text: "no collections" }));
  } else if (names.join("\n") !== collections.join("\n")) {
    const { wanted } = collection.dataset;
    const chosen = collections.includes(wanted) ? wanted : collection.value;
    collection.replaceChildren(...collections.map((name) => element("option", { value: name, text: name })));
    if (collections.includes(chosen)) collection.value = chosen;
    // It may come into being after others, one of which is shown meanwhile.
    if (chosen === wanted) delete collection.dataset.wanted;
  }
}

function resetSort() {
  sort.replaceChildren(element("option", { value: "", text: "best match, or newest" }));
}

function searchAnew() {
  known = null;
  limit = PAGE;
  const address = new URLSearchParams({ collection: collection.value, q: query.value, fuzzy: fuzzy.checked });
  history.replaceState(null, "", `?${address}`);
  search();
}

async function search() {
  if (!collection.value) return;
  running?.abort("a newer question");
  const mine = (running = new AbortController());
  const parameters = new URLSearchParams({ q: query.value, fuzzy: fuzzy.checked, limit });
  const newest = query.value.trim() === "" && sort.value === "" ? newestBy.get(collection.value) : null;
  const [order, ...field] = newest ? ["desc", newest] : sort.value.split(" ");
  if (field.length > 0) {
    parameters.set("sort_by", field.join(" "));
    parameters.set("sort_order", order);
  }
  try {
    const answer = await ask(`/api/v1/${encodeURIComponent(collection.value)}/search?${parameters}`, { signal: mine.signal, exact: true });
    if (!mine.signal.aborted) present(answer);
  } catch (error) {
    if (mine.signal.aborted) return;
    if (error.status === 0) throw error;
    if (newest) return newestBy.set(collection.value, null);
    say(found, `No answer: ${error.message}.`);
  } finally {
    if (running === mine) running = null;
  }
}

function present({ total, hits: page, took_ms: took }) {
  const words = wordsOf(query.value);
  const before = known;
  const items = page.map((hit) => ({ hit, words, fuzzy: fuzzy.checked, was: before?.get(hit.id), isNew: before !== null && !before.has(hit.id) }));
  known = new Map([...(before ?? []), ...page.map((hit) => [hit.id, hit])].slice(-KNOWN_MAX));
  keep(hits, items, (item) => `${collection.value}\n${item.hit.id}`, makeHit);
  say(found, total === 0 ? nothing() : `${count(total)} ${total === 1 ? "document" : "documents"} in ${took < 1 ? "under 1" : count(took)} ms`);
  show(more, page.length < total && limit < LIMIT_MAX);
  offerSorting(page);
  if (findNewest(page)) {
    known = null;
    search();
  }
}

/** Looks once for the field that tells the newest; true when it was found just now. */
function findNewest(page) {
  if (page.length === 0 || newestBy.has(collection.value)) return false;
  const dates = Object.entries(page[0].document).filter(([, value]) => typeof value === "string" && ISO_DATE.test(value));
  const field = TIMES.flatMap((pattern) => dates.filter(([name]) => pattern.test(name)))[0]?.[0] ?? null;
  newestBy.set(collection.value, field);
  return field !== null && query.value.trim() === "" && sort.value === "";
}

function nothing() {
  const advice = !query.value ? "It is empty." : fuzzy.checked ? "Try other words." : "Try other words, or forgive typos.";
  return `Nothing found in ${collection.value}. ${advice}`;
}

function offerSorting(page) {
  const offered = new Set([...sort.options].map((option) => option.value));
  for (const { document } of page) {
    for (const [field, value] of Object.entries(document)) {
      const sortable = (typeof value === "string" && value.length <= 40) || isNumber(value);
      if (!sortable || offered.has(`desc ${field}`)) continue;
      if (offered.size > 40) return;
      const dated = typeof value === "string" && ISO_DATE.test(value);
      const [up, down] = dated ? ["oldest first", "newest first"] : isNumber(value) ? ["lowest first", "highest first"] : ["A to Z", "Z to A"];
      sort.append(element("option", { value: `desc ${field}`, text: `${field}, ${down}` }));
      sort.append(element("option", { value: `asc ${field}`, text: `${field}, ${up}` }));
      offered.add(`desc ${field}`).add(`asc ${field}`);
    }
  }
}

function makeHit() {
  const title = element("span", { class: "title" });
  const place = element("span", { class: "place" });
  const summary = element("span", { class: "summary" });
  const changes = element("span", { class: "changes", hidden: true });
  const json = element("pre", { class: "json", hidden: true, tabindex: "0" });
  const button = element("button", { type: "button", class: "hit", "aria-expanded": "false" }, title, place, summary, changes);
  const node = element("li", { class: "card" }, button, json);
  let now = null;
  let shown = null;
  let changedAt = 0;
  const showJson = () => say(json, JSON.stringify(now.document, null, 2));
  button.addEventListener("click", () => {
    show(json, json.hidden);
    button.setAttribute("aria-expanded", String(!json.hidden));
    if (!json.hidden) showJson();
  });
  node.update = ({ hit, words, fuzzy, was, isNew }) => {
    const changed = was !== undefined && (textOf(was.version) !== textOf(hit.version) || JSON.stringify(was.document) !== JSON.stringify(hit.document));
    const look = `${words} ${fuzzy}`;
    if (now === null || changed || shown !== look) {
      [now, shown] = [hit, look];
      draw(hit, words, fuzzy, { title, place, summary });
      if (!json.hidden) showJson();
    }
    if (changed || isNew) {
      changedAt = Date.now();
      changes.replaceChildren(...(isNew ? [element("b", { text: "just in" })] : told(was.document, hit.document)));
      node.classList.remove("flash");
      void node.offsetWidth; // Lets the same animation start again.
      node.classList.add("flash");
    }
    show(changes, Date.now() - changedAt < CHANGE_SHOWN_MS);
  };
  return node;
}

function draw({ id, version, document }, words, fuzzy, { title, place, summary }) {
  const field = titleField(document);
  const text = field === null ? id : String(document[field]);
  title.replaceChildren(...marked(text, words, fuzzy));
  say(place, version == null ? id : `${id} · v${textOf(version)}`);
  const lines = [...matching(document, field, words, fuzzy), ...plain(document, field, id)].slice(0, SUMMARY_FIELDS);
  summary.replaceChildren(...lines.map(([name, value]) => element("span", {}, element("i", { text: name }), " ", ...marked(value, words, fuzzy))));
}

function marked(text, words, fuzzy) {
  return pieces(text, words, fuzzy).map(({ text, hit }) => (hit ? element("mark", { text }) : document.createTextNode(text)));
}

function titleField(body) {
  const isText = (name) => typeof body[name] === "string" && body[name].length > 0;
  return TITLES.find(isText) ?? Object.keys(body).find((name) => isText(name) && !/(^|_)id$|_at$/.test(name)) ?? null;
}

/** Where the words stand, besides the title. */
function matching(body, title, words, fuzzy) {
  if (words.length === 0) return [];
  return [...leaves(body)]
    .filter(([name, value]) => name !== title && typeof value === "string" && !value.startsWith(body[title]))
    .map(([name, value]) => [name, excerpt(value, words, fuzzy, 90)])
    .filter(([, text]) => text !== null)
    .slice(0, 1);
}

/** Short values, as they stand. */
function plain(body, title, id) {
  const isKey = ([name]) => /(^|[._])(id|key|sku)$/i.test(name);
  const short = [...leaves(body)]
    .filter(([name, value]) => name !== title && value !== null && textOf(value) !== id && !/\.\d/.test(name))
    .map(([name, value]) => [name, readable(value)])
    .filter(([, value]) => value.length > 0 && value.length <= 40);
  return [...short.filter((field) => !isKey(field)), ...short.filter(isKey)];
}

/** Dates without the letters that machines need. */
const readable = (value) => textOf(value).replace(ISO_DATE, "$1 $2");

/** What differs, as `stock 12 → 9`. */
function told(before, after) {
  const [old, now] = [new Map(leaves(before)), new Map(leaves(after))];
  const text = (map, name) => (map.has(name) ? textOf(map.get(name)) : undefined);
  const all = [...new Set([...old.keys(), ...now.keys()])].filter((name) => text(old, name) !== text(now, name));
  // That its date changed says nothing beside what else did.
  const telling = all.filter((name) => !ISO_DATE.test(text(now, name) ?? ""));
  const differing = telling.length > 0 ? telling : all;
  const value = (map, name) => (map.has(name) ? clipped(readable(map.get(name))) : "nothing");
  const said = differing.slice(0, 3).map((name) =>
    element("span", {}, element("i", { text: name }), ` ${value(old, name)} → `, element("b", { text: value(now, name) })));
  if (differing.length > 3) said.push(element("span", { text: `and ${differing.length - 3} more` }));
  return said.length > 0 ? said : [element("span", { text: "written again" })];
}

const clipped = (text) => (text.length > 32 ? `${text.slice(0, 31)}…` : text);
