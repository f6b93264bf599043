// The exports of the component. (`boot` is the contract's `init`: see build.mjs.)

import { Component } from "./component.js";
import { hostIsThere } from "./console.js";

export function serve(component) {
  if (!(component instanceof Component)) {
    throw new TypeError("the module lacks `export default transform(…)`");
  }
  return {
    boot(config) {
      hostIsThere();
      component.init(config);
    },
    transform: (changes) => component.transform(changes),
  };
}
