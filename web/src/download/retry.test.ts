import { describe, expect, test } from "vitest";
import { ChordError } from "../errors.js";
import { RETRY, retryDelay } from "./retry.js";

const delay = (error: unknown, failures = 1, answered = true) => retryDelay(error, failures, answered, RETRY, 0.5);
const status = (code: number, retryAfterMs?: number) =>
  new ChordError("http-status", "", { status: code, retryAfterMs });

describe("after a failure", () => {
  test("each pause is twice as long, up to the longest", () => {
    const broken = new ChordError("short-body", "");
    expect([1, 2, 3, 4].map((failures) => delay(broken, failures))).toEqual([500, 1000, 2000, 4000]);
    expect(retryDelay(broken, 20, true, { ...RETRY, attempts: 30 }, 0.5)).toBe(60_000);
  });

  test("retrying ends, and ends early where the host never answered", () => {
    const broken = new ChordError("network-failed", "");
    expect(delay(broken, 6)).toBeDefined();
    expect(delay(broken, 7)).toBeUndefined();
    expect(delay(broken, 3, false)).toBeUndefined();
  });

  test.each([408, 429, 500, 502, 503, 504])("status %i is retried", (code) => expect(delay(status(code))).toBe(500));

  test.each([400, 401, 403, 404, 410, 416])("status %i is not retried", (code) =>
    expect(delay(status(code))).toBeUndefined(),
  );

  test("a server is waited for as long as it asks, within reason", () => {
    expect(delay(status(503, 7_000))).toBe(7_000);
    expect(delay(status(429, 3_600_000))).toBeUndefined();
  });

  test.each(["source-changed", "bad-response", "size-unknown", "hash-mismatch"])("%s is not retried", (code) => {
    expect(delay(new ChordError(code, ""))).toBeUndefined();
  });

  test("an error that is not the network's is not retried", () => expect(delay(new TypeError("x"))).toBeUndefined());
});
