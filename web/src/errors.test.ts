import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { abortError, ChordError, fromErrorRecord, SDK_ERROR_CODES, toErrorRecord } from "./errors.js";

describe("across a worker boundary", () => {
  test("a ChordError keeps its code, message and details, large numbers too", () => {
    const error = new ChordError("storage-quota", "full", { needed: 2n ** 60n });
    const back = fromErrorRecord(structuredClone(toErrorRecord(error)));
    expect(back).toBeInstanceOf(ChordError);
    expect(back).toMatchObject({ code: "storage-quota", message: "full", details: { needed: 2n ** 60n } });
  });

  test("an error of the engine is a plain object with a code", () => {
    const thrown = { code: "bad-alignment", message: "`general.alignment` is 0", details: { offset: 24n } };
    expect(fromErrorRecord(toErrorRecord(thrown))).toMatchObject({ name: "ChordError", ...thrown });
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

test("an abort has the signal's reason as its cause, unless that is one itself", () => {
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
