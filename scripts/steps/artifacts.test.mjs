import { expect, test } from "vitest";
import { sharedMemory } from "../../web/src/worker/shared-memory.ts";
import { artifacts } from "./artifacts.mjs";

test.each(["threads", "memory64"])("the worker makes the memory that %s is linked for", (artifact) => {
  let asked;
  sharedMemory(artifact, (pages) => (asked = pages));
  const { rustflags } = artifacts[artifact];
  const linked = (name) => Number(new RegExp(`--${name}=(\\d+)`).exec(rustflags.join(" "))[1]) / 65_536;
  expect(Number(asked.maximum)).toBe(linked("max-memory"));
  // A page more, which wasm-bindgen adds.
  expect(Number(asked.initial)).toBe(linked("initial-memory") + 1);
});
