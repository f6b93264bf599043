// node sdk/build.mjs ENTRY --output FILE [--tools FOLDER]
//
// Makes a component of a JavaScript or TypeScript module and all that it imports. What that takes comes from npm, at the versions of
// package-lock.json, into the folder of tools: once.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules, createRequire, SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { dirname, extname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const SDK = dirname(fileURLToPath(import.meta.url));
const NODE_MIN = 18;
/** What a module of each world exports beside `init`. */
const EXPORTS = { transform: "transform", aggregate: "measure, render" };

/** What a user can do something about: shown without a stack. */
class Problem extends Error {}

/** Installs what package-lock.json names, unless it is there. Other builds may do the same at this moment: the first one stays. */
function tools(folder) {
  const lock = readFileSync(join(SDK, "package-lock.json"));
  const place = join(resolve(folder), `js-${createHash("sha256").update(lock).digest("hex").slice(0, 12)}`);
  if (!existsSync(place)) {
    mkdirSync(dirname(place), { recursive: true });
    const fresh = mkdtempSync(`${place}.`);
    try {
      for (const file of ["package.json", "package-lock.json"]) {
        cpSync(join(SDK, file), join(fresh, file));
      }
      console.error(`installing esbuild, componentize-qjs and typescript into ${place}`);
      npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], fresh);
      try {
        renameSync(fresh, place);
      } catch (error) {
        if (!existsSync(place)) {
          throw error;
        }
      }
    } finally {
      rmSync(fresh, { recursive: true, force: true });
    }
  }
  return { place, require: createRequire(join(place, "package.json")) };
}

function npm(args, folder) {
  try {
    execFileSync("npm", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    throw new Problem(
      error.code === "ENOENT"
        ? "npm is missing: install it (Debian: apt install npm) and run make again"
        : `npm could not install the tools:\n${String(error.stderr).trim()}`,
    );
  }
}

/** Installs the packages of the user's own package.json, when there are any and they are not there as its lock file has them. */
function dependencies() {
  const read = (file) => (existsSync(file) ? readFileSync(file) : undefined);
  if (Object.keys(JSON.parse(read("package.json") ?? "{}").dependencies ?? {}).length === 0) {
    return;
  }
  const locked = read("package-lock.json");
  const installed = "node_modules/.rowmill-lock";
  if (locked === undefined || !read(installed)?.equals(locked)) {
    npm([locked === undefined ? "install" : "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], process.cwd());
    cpSync("package-lock.json", installed);
  }
}

function checkTypes(place) {
  try {
    execFileSync(
      process.execPath,
      [join(place, "node_modules/typescript/bin/tsc"), "--noEmit", "--pretty", String(process.stderr.isTTY ?? false)],
      {
        stdio: ["ignore", 2, 2],
      },
    );
  } catch {
    throw new Problem("the types do not fit: see above");
  }
}

/** One text of the user's files, this SDK and what they import, with a table of where each of its lines came from. */
async function bundle(esbuild, entry, world) {
  const from = (file) => JSON.stringify(join(SDK, "lib", file));
  const built = await esbuild
    .build({
      stdin: {
        contents: `import { serve } from ${from("serve.js")};
import * as module from ${JSON.stringify(resolve(entry))};
export const { boot, ${EXPORTS[world]} } = serve(module.default, "${world}");`,
        resolveDir: process.cwd(),
      },
      bundle: true,
      write: false,
      outfile: "bundle.js",
      format: "esm",
      target: "es2023",
      platform: "neutral",
      mainFields: ["module", "main"],
      conditions: [`rowmill-${world}`, "module", "import"],
      external: ["wasi:*", "rowmill:*"],
      sourcemap: "external",
      sourcesContent: false,
      charset: "utf8",
      logLevel: "silent",
    })
    .catch((error) => {
      throw new Problem(error.errors?.map(described).join("\n") ?? error.message);
    });
  const output = (extension) => built.outputFiles.find((file) => file.path.endsWith(extension)).text;
  const code = output(".js");
  return `${code}\nglobalThis.__rowmill_lines = ${JSON.stringify(lines(code, JSON.parse(output(".map"))))};\n`;
}

function described({ text, location }) {
  const at = location ? `${location.file}:${location.line}:${location.column + 1}: ` : "";
  const missing = /^Could not resolve "(?:node:)?([^"]+)/.exec(text)?.[1];
  if (builtinModules.includes(missing)) {
    return `${at}${text}: a transform runs without Node.js, and has no files, network or processes`;
  }
  return `${at}${text}${/^[^./]/.test(missing ?? ".") ? `: npm install ${/^(@[^/]+\/)?[^/]+/.exec(missing)[0]}` : ""}`;
}

function lines(code, map) {
  const places = new SourceMap(map);
  const files = [];
  const table = code.split("\n").map((line, number) => {
    const found = places.findEntry(number, line.search(/\S|$/));
    if (found?.originalSource === undefined) {
      return [];
    }
    const file = resolve(found.originalSource.replace(/^file:\/\//, ""));
    if (file.startsWith(join(SDK, "lib")) || file.endsWith("<stdin>")) {
      return [];
    }
    const name = relative(process.cwd(), file);
    const place = files.indexOf(name);
    return [place < 0 ? files.push(name) - 1 : place, found.originalLine + 1];
  });
  return { files, lines: table };
}

/** The module's component. Only evaluating the module tells which world it is of; most are transforms. */
async function build({ require }, entry) {
  for (let world = "transform"; ; world = "aggregate") {
    const code = await bundle(require("esbuild"), entry, world);
    try {
      return await component(require("componentize-qjs").componentize, code, world);
    } catch (error) {
      if (world === "aggregate" || !error.message.includes("the module is of the world aggregate")) {
        throw error;
      }
    }
  }
}

/** The contract, but for one name: the runtime of componentize-qjs exports an `init` of its own, so ours is `boot` until it is built. */
async function component(componentize, code, world) {
  const folder = mkdtempSync(join(tmpdir(), "rowmill-"));
  try {
    const wit = join(folder, "wit");
    cpSync(join(SDK, "wit"), wit, { recursive: true, dereference: true });
    const contract = join(wit, `${world}.wit`);
    writeFileSync(contract, readFileSync(contract, "utf8").replace("export init:", "export boot:"));
    const built = await componentize({ witPath: wit, world, jsSource: code, sync: true }).catch((error) => {
      throw new Problem(`the module could not be evaluated: ${placed(error.message, code)}`);
    });
    return swapNames(built.component);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The message of an exception while the module was evaluated, with the user's file and line. */
function placed(message, code) {
  const table = JSON.parse(code.slice(code.lastIndexOf("__rowmill_lines = ") + "__rowmill_lines = ".length, code.lastIndexOf(";")));
  const told = message.trim().replace(/^(?:(?:Failed to [^:]+)?: )+/, "");
  for (const [, line] of told.matchAll(/:(\d+):\d+/g)) {
    const [file, at] = table.lines[line - 1] ?? [];
    if (file !== undefined) {
      return `${told.split("\n")[0]} (${table.files[file]}:${at})`;
    }
  }
  return told.split("\n")[0];
}

/** Gives the two exports each other's name: ours becomes `init`, that of the runtime, which has done its work, `boot`. */
function swapNames(wasm) {
  const EXPORT_SECTION = 11;
  const OTHER = { init: "boot", boot: "init" };
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) {
        return value;
      }
    }
  };
  const swapped = [];
  while (at < wasm.length) {
    const id = wasm[at++];
    const size = number();
    const end = at + size;
    for (let left = id === EXPORT_SECTION ? number() : 0; left > 0; left--) {
      at += 1; // the kind of name
      const length = number();
      const name = wasm.toString("latin1", at, at + length);
      if (Object.hasOwn(OTHER, name)) {
        wasm.write(OTHER[name], at, "latin1");
        swapped.push(name);
      }
      at += length + 1; // the name, and that it is a function
      number(); // which one
      at += 1; // no type is ascribed
    }
    at = end;
  }
  if (swapped.sort().join() !== "boot,init") {
    throw new Error(`componentize-qjs has changed: it exports ${swapped.join(" and ") || "neither init nor boot"}`);
  }
  return wasm;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { output: { type: "string" }, tools: { type: "string", default: ".tools" } },
  });
  const [entry] = positionals;
  if (positionals.length !== 1 || values.output === undefined) {
    throw new Problem("usage: node build.mjs ENTRY --output FILE [--tools FOLDER]");
  }
  if (Number(process.versions.node.split(".")[0]) < NODE_MIN) {
    throw new Problem(`Node.js ${process.versions.node} is too old: install version ${NODE_MIN} or newer from https://nodejs.org`);
  }
  if (!existsSync(entry)) {
    throw new Problem(`there is no ${entry}`);
  }
  const installed = tools(values.tools);
  dependencies();
  if (extname(entry) === ".ts") {
    checkTypes(installed.place);
  }
  const wasm = await build(installed, entry);
  writeFileSync(`${values.output}.new`, wasm);
  renameSync(`${values.output}.new`, values.output);
  console.log(values.output);
}

main().catch((error) => {
  console.error(error instanceof Problem ? error.message : error.stack);
  process.exitCode = 1;
});
