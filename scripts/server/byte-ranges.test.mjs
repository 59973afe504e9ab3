import { describe, expect, test } from "vitest";
import { parseRange } from "./byte-ranges.mjs";

describe("byte ranges", () => {
  test.each([
    ["bytes=0-0", { start: 0, end: 1 }],
    ["bytes=2-4", { start: 2, end: 5 }],
    ["bytes=2-", { start: 2, end: 10 }],
    ["bytes=2-99", { start: 2, end: 10 }],
    ["bytes=-3", { start: 7, end: 10 }],
    ["bytes=-99", { start: 0, end: 10 }],
    ["bytes=10-", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=4-2", null],
    ["bytes=-", null],
    ["bytes=0-1,4-5", null],
    ["items=0-1", null],
    [undefined, null],
  ])("%s of 10 bytes", (header, range) => {
    expect(parseRange(header, 10)).toEqual(range);
  });

  test("any range of an empty file is answered with the whole file", () => {
    expect(parseRange("bytes=0-", 0)).toBeNull();
  });
});
