import assert from "node:assert/strict";
import { test } from "node:test";
import { row, run } from "../sdk/testing.js";
import component, { categoryPath } from "./transform.js";

test("a category has parents", () => {
  assert.deepEqual(categoryPath("Home/Kitchen/Pans"), ["Home", "Home/Kitchen", "Home/Kitchen/Pans"]);
});

test("the currency is a setting", () => {
  const [output] = run(component, [row("public.products", { id: 1, price: "3.00" })], { currency: "CHF" });
  assert.equal(output?.body.price.currency, "CHF");
});
