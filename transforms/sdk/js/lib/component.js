// A function becomes a component.

import { Change } from "./change.js";
import { actions } from "./outputs.js";
import { reason } from "./place.js";
import { settings } from "./settings.js";

export class Component {
  #function;
  #defaults;
  #deletes;
  #settings;

  constructor(f, { settings = {}, deletes = false }) {
    if (typeof f !== "function") {
      throw new TypeError("transform(…) takes a function of a change and the settings");
    }
    this.#function = f;
    this.#defaults = settings;
    this.#deletes = deletes;
  }

  /** Throws the text of what is wrong with the settings. */
  init(config) {
    try {
      this.#settings = settings(config, this.#defaults);
    } catch (error) {
      throw `transform.config: ${error instanceof Error ? error.message : error}`;
    }
  }

  transform(changes) {
    const outputs = [];
    const f = this.#function;
    for (let change = 0; change < changes.length; change++) {
      if (changes[change].operation === "delete" && !this.#deletes) {
        continue;
      }
      try {
        for (const action of actions(f(new Change(changes[change]), this.#settings))) {
          outputs.push({ change, action });
        }
      } catch (error) {
        outputs.push({ change, action: { tag: "reject", val: reason(error) } });
      }
    }
    return outputs;
  }
}

export function transform(f, options = {}) {
  return new Component(f, options);
}
