// Where in the user's files an error came from.

import { Rejection } from "./rejection.js";

/** What stands in the dead letter. */
export function reason(error) {
  if (error instanceof Rejection) {
    return error.message;
  }
  if (!(error instanceof Error)) {
    return String(error);
  }
  const at = place(String(error.stack));
  return `${error.name}: ${error.message}${at ? ` (${at})` : ""}`;
}

/** `product, src/transform.js:12`: the innermost function of the stack that is not this SDK's. */
function place(stack) {
  for (const [, name, file, line] of stack.matchAll(/at (?:([^\s(]+) \()?([^\s(]+):(\d+):\d+\)?$/gm)) {
    const at = globalThis.__rowmill_lines === undefined ? { file, line } : original(Number(line));
    if (at !== undefined) {
      return `${name === undefined || name.startsWith("<") ? "" : `${name}, `}${at.file}:${at.line}`;
    }
  }
  return undefined;
}

/** build.mjs leaves, for each line of the bundle, the number of its file and the line there; none for the lines of this SDK. */
function original(line) {
  const { files, lines } = globalThis.__rowmill_lines;
  const [file, at] = lines[line - 1] ?? [];
  return file === undefined ? undefined : { file: files[file], line: at };
}
