import { expect, test } from "vitest";
import { TaskQueue } from "./queue.js";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("tasks run one after the other, also after one that failed", async () => {
  const queue = new TaskQueue();
  const log: string[] = [];
  const task =
    (name: string, fails = false) =>
    async () => {
      log.push(`${name} begins`);
      await sleep(5);
      log.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    };
  const results = await Promise.allSettled([queue.run(task("a")), queue.run(task("b", true)), queue.run(task("c"))]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(log).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
});

test("a task that was aborted while it waited is never run", async () => {
  const queue = new TaskQueue();
  const abort = new AbortController();
  const first = queue.run(() => sleep(20));
  let ran = false;
  const second = queue.run(async () => void (ran = true), abort.signal);
  abort.abort();
  await expect(second).rejects.toMatchObject({ name: "AbortError" });
  await first;
  await queue.run(async () => undefined);
  expect(ran).toBe(false);
});

test("an abort rejects at once, and the next task still waits for the end of this one", async () => {
  const queue = new TaskQueue();
  const abort = new AbortController();
  const log: string[] = [];
  const first = queue.run(async () => {
    await sleep(20);
    log.push("first ended");
  }, abort.signal);
  const second = queue.run(async () => void log.push("second began"));
  await sleep(1);
  abort.abort(new Error("enough"));
  await expect(first).rejects.toMatchObject({
    name: "AbortError",
    cause: expect.objectContaining({ message: "enough" }),
  });
  expect(log).toEqual([]);
  await second;
  expect(log).toEqual(["first ended", "second began"]);
});

test("a task that throws before it awaits rejects", async () => {
  const queue = new TaskQueue();
  const broken = () => {
    throw new Error("broken");
  };
  await expect(queue.run(broken)).rejects.toThrow("broken");
  await expect(queue.run(async () => 1)).resolves.toBe(1);
});
