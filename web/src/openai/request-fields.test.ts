/** What the engine's tests accept and refuse, in the same words: `tests/request-fields.json`. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { MAX_TOKENS_RANGE, type NumberRange, SAMPLING_RANGES, SEED_RANGE } from "../engine-limits.js";
import { checkChatRequest, checkCompletionRequest } from "./request.js";
import type { ChatCompletionRequest, CompletionRequest } from "./types.js";

/** A value, and how the error describes it. */
type Refused = [unknown, string];

const cases = JSON.parse(
  readFileSync(new URL("../../../tests/request-fields.json", import.meta.url), "utf8"),
  (_, value: unknown) =>
    typeof value === "object" && value !== null && "number" in value ? Number(value.number) : value,
) as {
  refusedByAll: Refused[];
  fields: Record<string, { range: string; accepts: unknown[]; refuses: Refused[] }>;
  stop: { accepts: string[][]; refuses: Refused[] };
};
const ranges: NumberRange[] = [...SAMPLING_RANGES, MAX_TOKENS_RANGE, SEED_RANGE];

const chat = (fields: object) =>
  checkChatRequest({ messages: [{ role: "user", content: "Hi" }], ...fields } as ChatCompletionRequest).params;
const text = (fields: object) => checkCompletionRequest({ prompt: "Hi", ...fields } as CompletionRequest).params;
const refusal = (field: string, message: string) =>
  expect.objectContaining({ code: "invalid-argument", message, details: { field } }) as Error;

test("the list has every number", () => {
  expect(Object.keys(cases.fields).sort()).toEqual(ranges.map(({ name }) => name).sort());
});

test.each(ranges)("$name", ({ name, alias }) => {
  const { range, accepts, refuses } = cases.fields[name]!;
  for (const check of [chat, text]) {
    for (const field of alias === undefined ? [name] : [name, alias]) {
      for (const value of accepts) {
        const params = check({ [field]: value });
        const given = name in params ? params[name as "seed"] : params.sampling?.[name as "top_p"];
        if (value !== null) expect(given, `${field} of ${typeof value}`).toBe(value);
      }
      for (const [value, found] of [...cases.refusedByAll, ...refuses]) {
        const message = `${field} must be ${range}, not ${found}`;
        expect(() => check({ [field]: value }), message).toThrow(refusal(field, message));
      }
    }
  }
});

test("stop strings", () => {
  for (const stop of cases.stop.accepts) expect(chat({ stop }).stop).toEqual(stop);
  for (const [stop, message] of cases.stop.refuses) expect(() => text({ stop })).toThrow(refusal("stop", message));
});
