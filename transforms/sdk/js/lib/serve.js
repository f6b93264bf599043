// The exports of the component. (`boot` is the contract's `init`: see build.mjs.)

import { Component } from "./component.js";
import { hostIsThere } from "./console.js";

export function serve(component, world) {
  if (!(component instanceof Component)) {
    throw new TypeError("the module lacks `export default transform(…)` or `export default aggregate(…)`");
  }
  if (component.world !== world) {
    // build.mjs takes the other world then.
    throw new TypeError(`the module is of the world ${component.world}`);
  }
  const exported = {
    boot(config) {
      hostIsThere();
      component.init(config);
    },
  };
  for (const name of world === "transform" ? ["transform"] : ["measure", "render"]) {
    exported[name] = (batch) => component[name](batch);
  }
  return exported;
}
