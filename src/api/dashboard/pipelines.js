// The pipelines: what each is doing, how far behind, and what it set aside.

import { ask } from "./ask.js";
import { ago, brief, count, drawing, duration, element, keep, rate, say, show, size } from "./dom.js";

/** A minute of seconds. */
const SAMPLES = 60;
const LETTERS = 5;
const STEPS = ["newest", "received", "applied", "durable"];
const MEANINGS = {
  newest: "where the source ends",
  received: "read from the source",
  applied: "answered by the sink and committed",
  durable: "would survive a power cut; the source has been told",
};
const WORDS = { running: "running", waiting: "waiting", paused: "paused", stopped: "stopped", finished: "finished" };

const list = document.getElementById("pipelines");
const none = document.getElementById("no-pipelines");
const overall = document.getElementById("overall");

/** Once a second. */
export async function refreshPipelines() {
  const { pipelines } = await ask("/admin/pipelines");
  show(none, pipelines.length === 0);
  keep(list, pipelines, (pipeline) => pipeline.name, makeCard);
  sayOverall(pipelines);
}

/** When nothing is known any more. */
export function forgetOverall() {
  say(overall, "");
  delete overall.dataset.state;
}

function sayOverall(pipelines) {
  const stuck = pipelines.filter(({ state }) => !["running", "finished"].includes(state));
  const worst = ["stopped", "waiting", "paused"].find((state) => stuck.some((pipeline) => pipeline.state === state));
  overall.dataset.state = worst ?? "running";
  if (pipelines.length === 0) return forgetOverall();
  const named = stuck.map(({ name, state }) => `${name} ${state}`).join(", ");
  const many = `${stuck.length} of ${pipelines.length} pipelines do not progress`;
  say(overall, stuck.length === 0 ? "all pipelines progress" : stuck.length > 2 ? many : named);
}

function makeCard({ name }) {
  const state = element("span", { class: "state" });
  const way = element("span", { class: "way" });
  const toggle = commandButton(name);
  const restart = commandButton(name);
  restart.update("restart");
  const problem = element("span", { class: "sentence", role: "status" });
  const trouble = element("div", { class: "trouble", hidden: true }, element("p", { class: "reason" }), element("p", { class: "remedy" }));
  const ladder = makeLadder();
  const events = makeChart("events/s");
  const documents = makeChart("documents/s");
  const totals = element("p", { class: "totals" });
  const lanes = makeLanes();
  const letters = makeLetters(name);
  const node = element("article", { class: "card pipeline", "aria-label": `pipeline ${name}` },
    element("header", {}, element("h3", { text: name }), state, way, element("span", { class: "commands" }, toggle, restart)),
    problem, trouble, ladder, element("div", { class: "charts" }, events, documents), totals, lanes, letters);
  for (const button of [toggle, restart]) button.addEventListener("click", () => command(name, button, problem));
  node.update = (pipeline) => {
    node.dataset.state = pipeline.state;
    say(state, WORDS[pipeline.state] ?? pipeline.state);
    say(way, `${pipeline.source} → ${pipeline.module ? "module → " : ""}${pipeline.sink}`);
    toggle.update(pipeline.state === "paused" ? "resume" : "pause");
    show(toggle, !["stopped", "finished"].includes(pipeline.state));
    show(restart, pipeline.state !== "finished");
    sayTrouble(trouble, pipeline);
    ladder.update(pipeline);
    events.update(pipeline.rates.events_per_second);
    documents.update(pipeline.rates.documents_per_second);
    say(totals, totalsOf(pipeline));
    lanes.update(pipeline);
    letters.update(pipeline.dead_letters);
  };
  return node;
}

function commandButton(name) {
  const button = element("button", { type: "button", class: "small" });
  button.update = (word) => {
    button.dataset.command = word;
    say(button, word);
    button.setAttribute("aria-label", `${word} ${name}`);
  };
  return button;
}

async function command(name, button, problem) {
  button.disabled = true;
  try {
    await ask(`/admin/pipelines/${encodeURIComponent(name)}/${button.dataset.command}`, { method: "POST" });
    say(problem, "");
    await refreshPipelines();
  } catch (error) {
    say(problem, `Could not ${button.dataset.command}: ${error.message}.`);
  } finally {
    button.disabled = false;
  }
}

function sayTrouble(node, { state, reason, remedy, last_error: last }) {
  const [why, what] = node.children;
  const isStuck = ["waiting", "stopped"].includes(state) || (state === "paused" && reason);
  show(node, Boolean(isStuck));
  if (!isStuck) return;
  say(why, sentence(reason ?? last?.message ?? "it does not say why"));
  say(what, remedy ? sentence(remedy) : state === "waiting" ? "It is tried again until it works; nothing is lost." : "");
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

/** Newest, and how far each step is behind it: over all lanes. */
function makeLadder() {
  const steps = STEPS.map((name) => {
    const value = element("b");
    return element("li", { title: MEANINGS[name] }, element("span", { text: name }), value);
  });
  const lag = element("p", { class: "lag" });
  const node = element("div", { class: "ladder" }, element("ol", {}, ...steps), lag);
  node.update = ({ lanes, source, state, lag_events: events, lag_seconds: seconds }) => {
    const amount = source === "file" ? size : brief;
    const known = lanes.filter((lane) => lane.newest !== null);
    steps.forEach((step, place) => {
      const behind = known.reduce((sum, lane) => sum + Math.max(0, lane.newest - (lane[STEPS[place]] ?? 0)), 0);
      const newest = known.reduce((sum, lane) => sum + lane.newest, 0);
      const text = known.length === 0 ? "–" : place === 0 ? amount(newest) : behind === 0 ? "level" : `−${amount(behind)}`;
      say(step.lastChild, text);
      step.dataset.level = String(known.length > 0 && place > 0 && behind === 0);
    });
    say(lag, state === "finished" ? "The source has ended, and everything is durable." : lagOf(events, seconds, source));
  };
  return node;
}

function lagOf(events, seconds, source) {
  if (events === null) return "The source has not yet said where it ends.";
  if (events === 0) return "All that came has been applied.";
  const left = source === "file" ? size(events) : `${count(events)} ${events === 1 ? "event" : "events"}`;
  return `${left} to go${seconds > 0 ? `, the last one applied is ${duration(seconds)} old` : ""}.`;
}

/** A rate now, and over the last minute. */
function makeChart(unit) {
  const [width, height] = [120, 30];
  const line = drawing("polyline", { class: "line" });
  const area = drawing("polygon", { class: "area" });
  const chart = drawing("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
  const now = element("b");
  const node = element("div", { class: "chart" }, element("p", {}, now, ` ${unit}`), chart);
  const samples = [];
  node.update = (value) => {
    samples.push(value);
    if (samples.length > SAMPLES) samples.shift();
    say(now, rate(value));
    const top = Math.max(1, ...samples);
    const points = samples.map((sample, place) => {
      const x = width - ((samples.length - 1 - place) * width) / (SAMPLES - 1);
      return `${x.toFixed(1)},${(height - 2 - (sample / top) * (height - 4)).toFixed(1)}`;
    });
    line.setAttribute("points", points.join(" "));
    const start = points[0].split(",")[0];
    area.setAttribute("points", `${start},${height} ${points.join(" ")} ${width},${height}`);
  };
  return node;
}

function totalsOf({ totals, module }) {
  const said = [
    [totals.events_applied, "applied"], [totals.events_stale, "stale"], [totals.events_ignored, "ignored"],
    [totals.documents_indexed, "indexed"], [totals.documents_deleted, "deleted"], [totals.documents_unchanged, "unchanged"],
    [totals.documents_refused, "refused"],
  ].filter(([number, word]) => number > 0 || word === "applied").map(([number, word]) => `${count(number)} ${word}`);
  if (module) said.push(`module ${module.hash.slice(0, 8)}${module.version > 1 ? ` (no. ${module.version})` : ""}`);
  return said.join(" · ");
}

function makeLanes() {
  const title = element("summary");
  const rows = element("tbody");
  const head = element("tr", {}, ...["lane", ...STEPS].map((name) => element("th", { scope: "col", text: name })));
  const table = element("div", { class: "scroll", tabindex: "0" }, element("table", {}, element("thead", {}, head), rows));
  const node = element("details", {}, title, table);
  node.update = ({ lanes }) => {
    show(node, lanes.length > 0);
    say(title, lanes.length === 1 ? "1 lane" : `${count(lanes.length)} lanes`);
    if (node.open) keep(rows, lanes, (lane) => lane.lane, makeLane);
  };
  return node;
}

function makeLane() {
  const cells = ["lane", ...STEPS].map(() => element("td"));
  const node = element("tr", {}, ...cells);
  node.update = (lane) => {
    say(cells[0], lane.lane);
    STEPS.forEach((step, place) => say(cells[place + 1], lane[step] === null ? "–" : count(lane[step])));
  };
  return node;
}

/** The dead letters: asked for when their number changes, so that a quiet system is asked little. */
function makeLetters(name) {
  const total = element("b");
  const latest = element("span");
  const items = element("ol", { class: "letters" });
  const node = element("details", { class: "dead", hidden: true }, element("summary", {}, total, latest), items);
  let asked = 0;
  node.update = (number) => {
    show(node, number > 0);
    say(total, number === 1 ? "1 dead letter" : `${count(number)} dead letters`);
    if (number !== asked) {
      asked = number;
      fill(name, items, latest, number).catch(() => (asked = -1));
    }
  };
  return node;
}

async function fill(name, items, latest, number) {
  if (number === 0) return;
  const path = `/admin/pipelines/${encodeURIComponent(name)}/dead-letters?limit=${LETTERS}`;
  const { dead_letters: letters } = await ask(path);
  keep(items, letters, (letter) => letter.id, makeLetter);
  say(latest, letters.length > 0 ? `, the latest: ${letters[0].reason}` : "");
}

function makeLetter() {
  const reason = element("p", { class: "reason" });
  const place = element("p", { class: "place" });
  const value = element("pre", { class: "json", hidden: true, tabindex: "0" });
  const button = element("button", { type: "button", class: "small", text: "show value", "aria-expanded": "false" });
  button.addEventListener("click", () => {
    show(value, value.hidden);
    say(button, value.hidden ? "show value" : "hide value");
    button.setAttribute("aria-expanded", String(!value.hidden));
  });
  const node = element("li", {}, reason, place, button, value);
  node.update = (letter) => {
    say(reason, sentence(letter.reason));
    const at = `${letter.topic}/${letter.partition}@${letter.offset}`;
    const key = letter.key === null ? "no key" : `key ${letter.key}`;
    say(place, [letter.stage, at, letter.table, key, versionOf(letter.version), ago(letter.at_ms)].filter(Boolean).join(" · "));
    show(button, letter.value !== null);
    say(value, pretty(letter.value ?? ""));
  };
  return node;
}

const versionOf = (version) => (version === null ? null : `version ${typeof version === "object" ? `${version.first}.${version.second}` : version}`);

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
