import { describe, expect, test } from "vitest";
import { Arrivals } from "./arrivals.js";
import type { Arrived } from "./options.js";

const size = 35;

function counting(missing = [0, 1, 2, 3]) {
  const left = new Set(missing);
  const reports: Arrived[] = [];
  const arrivals = new Arrivals(size, left, (arrived) => reports.push(arrived));
  return { arrivals, left, reports, bytes: () => reports.map((report) => report.bytes) };
}

describe("bytes that have come", () => {
  test("are counted once, also where a chunk begins again or is read again", () => {
    const { arrivals, bytes } = counting();
    arrivals.count(0, 6, 6);
    arrivals.count(0, 3, 3);
    arrivals.count(0, 10, 7);
    arrivals.count(0, 10, 0);
    expect(bytes()).toEqual([6, 6, 10, 10]);
    expect(arrivals.fromNetwork).toBe(16);
  });

  test("are those that the downloading tab reports, where it has more", () => {
    const { arrivals, bytes } = counting();
    arrivals.countOfWriter(8);
    arrivals.countOfWriter(5);
    arrivals.countOfWriter(9);
    expect(bytes()).toEqual([8, 9]);
  });

  test("are not added to the downloading tab's count, which includes them", () => {
    const { arrivals, bytes, reports } = counting();
    arrivals.countOfWriter(25);
    arrivals.count(0, 10, 0);
    arrivals.count(1, 10, 0);
    arrivals.count(2, 10, 0);
    expect(bytes()).toEqual([25, 25, 25, 30]);
    expect(reports.at(-1)!.networkDone).toBe(false);
  });
});

test("the network is done when no chunk is missing, or when every byte has come", () => {
  const { arrivals, left, reports } = counting([3]);
  arrivals.count(3, 3, 3);
  left.clear();
  arrivals.tell();
  expect(reports.map(({ networkDone }) => networkDone)).toEqual([false, true]);
  const other = counting();
  other.arrivals.countOfWriter(size);
  expect(other.reports).toEqual([{ bytes: size, networkBytes: 0, networkDone: true }]);
});
