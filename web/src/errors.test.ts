import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { abortError, ChordError, fromErrorRecord, SDK_ERROR_CODES, toErrorRecord } from "./errors.js";

describe("across a worker boundary", () => {
  test("a ChordError keeps its code, message and details", () => {
    const details = { needed: 2 ** 40, name: "a", none: null, kinds: ["x", { y: [1] }] };
    const error = new ChordError("storage-quota", "full", details);
    const back = fromErrorRecord(structuredClone(toErrorRecord(error)));
    expect(back).toBeInstanceOf(ChordError);
    expect(back).toMatchObject({ code: "storage-quota", message: "full", details });
  });

  test("an error of the engine is a plain object with a code, whose integers JSON can hold", () => {
    const thrown = { code: "bad-alignment", message: "`general.alignment` is 0", details: { offset: 24n } };
    const error = fromErrorRecord(toErrorRecord(thrown));
    expect(error).toMatchObject({ name: "ChordError", ...thrown, details: { offset: 24 } });
  });

  test("an abort stays an abort", () => {
    expect(fromErrorRecord(toErrorRecord(abortError()))).toMatchObject({ name: "AbortError" });
  });

  test.each([[new TypeError("x is undefined")], ["a string"], [undefined], [{ code: 5 }]])(
    "anything else is internal: %s",
    (thrown) => {
      expect(toErrorRecord(thrown).code).toBe("internal");
    },
  );
});

describe("as JSON", () => {
  const large = { offset: 2n ** 53n - 1n, end: 2n ** 53n, sizes: [3n, { total: 2n ** 64n - 1n, below: -5n }] };
  const plain = {
    offset: 9007199254740991,
    end: "9007199254740992",
    sizes: [3, { total: "18446744073709551615", below: -5 }],
  };

  test("no way to an error lets a bigint into its details", () => {
    const thrown = { code: "truncated", message: "short", details: large };
    const errors = [
      new ChordError("truncated", "short", large),
      fromErrorRecord(thrown),
      fromErrorRecord(toErrorRecord(thrown)),
    ] as ChordError[];
    for (const error of errors) expect(error.details).toEqual(plain);
    expect(toErrorRecord(thrown).details).toEqual(plain);
    expect(JSON.parse(JSON.stringify(errors[0]!.details))).toEqual(plain);
  });

  test("an error is its name, code, message and details, also inside of something else", () => {
    const error = new ChordError("truncated", "short", { offset: 5n });
    const record = { name: "ChordError", code: "truncated", message: "short", details: { offset: 5 } };
    expect(JSON.parse(JSON.stringify({ error, all: [error] }))).toEqual({ error: record, all: [record] });
  });
});

test("an abort has the signal's reason as its cause, unless the reason is itself an abort", () => {
  const reason = new Error("closed");
  expect(abortError(AbortSignal.abort(reason))).toMatchObject({ name: "AbortError", cause: reason });
  const signal = AbortSignal.abort();
  expect(abortError(signal)).toBe(signal.reason);
  expect(abortError(AbortSignal.abort(new DOMException("late", "TimeoutError"))).name).toBe("AbortError");
});

test("every code is in the documented list", () => {
  const documented = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  for (const code of Object.keys(SDK_ERROR_CODES)) expect(documented).toContain(`\`${code}\``);
});

test("every code is kebab-case and explained in a sentence", () => {
  for (const [code, text] of Object.entries(SDK_ERROR_CODES)) {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(text).toMatch(/^[A-Z].*\.$/);
  }
});
