import { expect, test } from "vitest";
import { sharedMemory } from "./shared-memory.js";

/** A browser that grants so many pages. */
function browser(granted: number) {
  const asked: number[] = [];
  const create = ({ initial, maximum = 0, shared }: WebAssembly.MemoryDescriptor) => {
    asked.push(maximum);
    if (maximum > granted) throw new RangeError("could not allocate memory");
    return new WebAssembly.Memory({ initial, maximum, ...(shared ? { shared } : {}) });
  };
  return { asked, create };
}

test("the largest maximum that is granted is taken", () => {
  const { asked, create } = browser(16_384);
  expect(sharedMemory(create).buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(asked).toEqual([65_536, 32_768, 16_384]);
});

test("a browser that grants nothing says why", () => {
  const { asked, create } = browser(0);
  expect(() => sharedMemory(create)).toThrow("could not allocate memory");
  expect(asked).toHaveLength(5);
});
