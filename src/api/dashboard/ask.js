// Asking the server, with the token where one is needed.

import { parseExactly } from "./exact.js";

const TIMEOUT_MS = 15_000;
const TOKEN = "rowmill.token";

/** Why there is no answer: `status` 0 is a server that cannot be reached. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Remembers the token for as long as this tab is open. */
export const setToken = (token) => sessionStorage.setItem(TOKEN, token);

/** Whether a token has been given. */
export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

/**
 * Asks for JSON; throws a `Refusal`. An aborted question throws what `signal` was aborted with. With `exact`, numbers keep
 * their digits (see exact.js).
 */
export async function ask(path, { method = "GET", body, signal, exact = false } = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  const signals = [AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])];
  let response;
  try {
    response = await fetch(path, { method, headers, body, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "the server does not answer");
  }
  const answer = await response.text().then(exact ? parseExactly : (text) => JSON.parse(text)).catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, answer.error ?? `the server answered ${response.status}`);
  return answer;
}
