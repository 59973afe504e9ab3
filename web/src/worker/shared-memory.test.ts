import { expect, test } from "vitest";
import { ChordError } from "../errors.js";
import { type SharedPages, sharedMemory } from "./shared-memory.js";

/** A browser that grants memories of at most `granted` pages. */
function browser(granted: number) {
  const asked: SharedPages[] = [];
  const create = (pages: SharedPages) => {
    asked.push(pages);
    if (pages.maximum > granted) throw new RangeError("could not allocate memory");
    return { granted: pages } as unknown as WebAssembly.Memory;
  };
  return { asked, create };
}

test("the largest maximum that is granted is taken", () => {
  const { asked, create } = browser(16_384);
  const memory: unknown = sharedMemory("threads", create);
  expect(memory).toEqual({ granted: { initial: 33, maximum: 16_384, shared: true } });
  expect(asked.map(({ maximum }) => maximum)).toEqual([65_536, 32_768, 16_384]);
});

test("the 64-bit engine's memory counts pages in bigint, and has no less than 4 GiB", () => {
  const { asked, create } = browser(100_000);
  const memory: unknown = sharedMemory("memory64", create);
  expect(memory).toEqual({ granted: { initial: 33n, maximum: 98_304n, shared: true, address: "i64" } });
  expect(asked.map(({ maximum }) => maximum)).toEqual([262_144n, 196_608n, 131_072n, 98_304n]);

  const small = browser(65_535);
  expect(() => sharedMemory("memory64", small.create)).toThrow(
    "no shared memory, not even one that may grow to 4096 MiB",
  );
  expect(small.asked.at(-1)!.maximum).toBe(65_536n);
});

test("this JavaScript engine grants the largest maximum", () => {
  expect(sharedMemory("threads").buffer).toBeInstanceOf(SharedArrayBuffer);
});

test("where a browser grants nothing, the error has its reason", () => {
  const { asked, create } = browser(0);
  const attempt = () => sharedMemory("threads", create);
  expect(attempt).toThrow(ChordError);
  expect(attempt).toThrow("RangeError: could not allocate memory");
  expect(attempt).toThrow(expect.objectContaining({ code: "out-of-memory", details: { needed: 2 ** 28 } }));
  expect(asked).toHaveLength(15);
});
