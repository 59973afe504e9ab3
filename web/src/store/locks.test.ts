import { afterEach, expect, test, vi } from "vitest";
import { whileUnused } from "./locks.js";

afterEach(() => vi.unstubAllGlobals());

/** Locks that are held elsewhere for the first `requests` requests. */
function heldFor(requests: number) {
  const request = (_name: string, _options: object, work: (lock: object | null) => unknown) =>
    Promise.resolve().then(() => work(requests-- > 0 ? null : {}));
  vi.stubGlobal("navigator", { locks: { request } });
}

test("waits for the lock of a worker that was just ended", async () => {
  heldFor(3);
  expect(await whileUnused("a", () => Promise.resolve("done"))).toBe("done");
});

test("a lock that stays held is an error, and nothing is done", async () => {
  heldFor(Infinity);
  const work = vi.fn(() => Promise.resolve());
  await expect(whileUnused("a", work)).rejects.toMatchObject({ code: "model-in-use", details: { key: "a" } });
  expect(work).not.toHaveBeenCalled();
});

test("an error of the work is passed on", async () => {
  heldFor(0);
  await expect(whileUnused("a", () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
});
