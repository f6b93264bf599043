// `transform.config`, read once.

/** By defaults (a setting is of the type of its default, and others are refused), or by a function of one's own. */
export function settings(config, defaults) {
  const text = config.trim();
  const given = text === "" || text === "null" ? {} : JSON.parse(text);
  if (typeof given !== "object" || Array.isArray(given)) {
    throw new Error(`expected settings, found ${text}`);
  }
  if (typeof defaults === "function") {
    return defaults(given);
  }
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, name)) {
      const known = Object.keys(defaults).map((known) => `\`${known}\``);
      throw new Error(`there is no setting \`${name}\`${known.length > 0 ? `, only ${known.join(", ")}` : ", and no other"}`);
    }
    const wanted = type(defaults[name]);
    if (type(value) !== wanted) {
      throw new Error(`setting \`${name}\`: expected ${wanted}, found ${JSON.stringify(value)}`);
    }
  }
  return Object.freeze({ ...defaults, ...given });
}

function type(value) {
  if (value === null) {
    return "null";
  }
  if (Array.isArray(value)) {
    return "a list";
  }
  return { string: "a text", number: "a number", boolean: "true or false", object: "an object" }[typeof value];
}
