// The page: asks every second, and says so when nobody answers.

import { hasToken, setToken } from "./ask.js";
import { duration, say, show } from "./dom.js";
import { forgetOverall, refreshPipelines } from "./pipelines.js";
import { refreshSearch, startSearch } from "./search.js";
import { refreshTrending, startTrending } from "./trending.js";

const EVERY_MS = 1_000;
const at = (id) => document.getElementById(id);
const [banner, signIn, token, tokenWrong] = ["banner", "sign-in", "token", "token-wrong"].map(at);

let goneSince = null;
/** With the token missing, asking on would only fill the server's log. */
let isLocked = false;

startSearch();
startTrending();
signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(token.value);
  isLocked = false;
  refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
follow();

async function follow() {
  for (;;) {
    // A page nobody looks at asks nothing.
    if (!document.hidden) await refresh();
    await new Promise((next) => setTimeout(next, EVERY_MS));
  }
}

async function refresh() {
  const results = await Promise.allSettled([refreshSearch(), refreshTrending(), isLocked ? null : refreshPipelines()]);
  const statuses = results.map(({ reason }) => reason?.status);
  for (const { reason } of results) if (reason && reason.status === undefined) console.error(reason);
  sayGone(statuses.includes(0));
  lock(statuses.includes(401));
  const refused = results.find(({ reason }) => reason?.status > 0 && reason.status !== 401);
  if (refused) sayBanner(`The server refuses: ${refused.reason.message}.`);
}

function sayGone(isGone) {
  document.body.classList.toggle("gone", isGone);
  if (!isGone) {
    goneSince = null;
    return show(banner, false);
  }
  goneSince ??= Date.now();
  forgetOverall();
  const seconds = Math.round((Date.now() - goneSince) / 1000);
  const since = seconds < 2 ? "" : ` for ${duration(seconds)}`;
  sayBanner(`The server has not answered${since}. What you see is from before; the page goes on by itself once it is back.`);
}

function sayBanner(text) {
  say(banner, text);
  show(banner, true);
}

function lock(isRefused) {
  if (!isRefused) return isLocked || unlock();
  isLocked = true;
  document.body.classList.add("locked");
  show(tokenWrong, hasToken() && token.value !== "");
  if (signIn.hidden) {
    show(signIn, true);
    token.focus();
  }
}

function unlock() {
  show(signIn, false);
  document.body.classList.remove("locked");
}
