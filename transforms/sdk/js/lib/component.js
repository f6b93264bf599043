// Functions become a component.

import { Change } from "./change.js";
import { actions } from "./outputs.js";
import { reason } from "./place.js";
import { settings } from "./settings.js";

/** What both worlds have: settings, and one call for a batch. */
export class Component {
  #defaults;
  settings;

  constructor(defaults = {}) {
    this.#defaults = defaults;
  }

  /** Throws the text of what is wrong with the settings. */
  init(config) {
    try {
      this.settings = settings(config, this.#defaults);
    } catch (error) {
      throw `transform.config: ${error instanceof Error ? error.message : error}`;
    }
  }

  /** What becomes of each item of a batch: the action it stands for, or why it is rejected. */
  outputs(items, answer) {
    const outputs = [];
    for (let change = 0; change < items.length; change++) {
      try {
        for (const action of actions(answer(items[change]))) {
          outputs.push({ change, action });
        }
      } catch (error) {
        outputs.push({ change, action: { tag: "reject", val: reason(error) } });
      }
    }
    return outputs;
  }
}

export class Transform extends Component {
  world = "transform";
  #function;
  #deletes;

  constructor(f, { settings, deletes = false }) {
    if (typeof f !== "function") {
      throw new TypeError("transform(…) takes a function of a change and the settings");
    }
    super(settings);
    this.#function = f;
    this.#deletes = deletes;
  }

  transform(changes) {
    const f = this.#function;
    return this.outputs(changes, (change) =>
      change.operation === "delete" && !this.#deletes ? undefined : f(new Change(change), this.settings),
    );
  }
}

export function transform(f, options = {}) {
  return new Transform(f, options);
}
