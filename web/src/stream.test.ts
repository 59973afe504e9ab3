import { expect, test, vi } from "vitest";
import { AnswerStream, type ChordStream } from "./stream.js";

async function collect<T>(stream: ChordStream<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of stream) all.push(value);
  return all;
}

test("delivers in order what was pushed before and after reading began", async () => {
  const stream = new AnswerStream<number>(() => undefined);
  stream.push(1);
  stream.push(2);
  const all = collect(stream);
  await Promise.resolve();
  stream.push(3);
  stream.end();
  stream.push(4);
  await expect(all).resolves.toEqual([1, 2, 3]);
});

test("leaving the loop early stops the generation, once", async () => {
  const stop = vi.fn();
  const stream = new AnswerStream<number>(stop);
  stream.push(1);
  stream.push(2);
  for await (const value of stream) if (value === 1) break;
  expect(stop).toHaveBeenCalledTimes(1);
  stream.cancel();
  expect(stop).toHaveBeenCalledTimes(1);
  await expect(stream.next()).resolves.toEqual({ done: true, value: undefined });
});

test("reading to the end stops nothing", async () => {
  const stop = vi.fn();
  const stream = new AnswerStream<number>(stop);
  stream.push(1);
  stream.end();
  await collect(stream);
  expect(stop).not.toHaveBeenCalled();
});

test("a failure comes after what was pushed before it", async () => {
  const stream = new AnswerStream<number>(() => undefined);
  stream.push(1);
  stream.fail(new Error("lost"));
  await expect(stream.next()).resolves.toEqual({ done: false, value: 1 });
  await expect(stream.next()).rejects.toThrow("lost");
  await expect(stream.next()).resolves.toEqual({ done: true, value: undefined });
});

test("a failure reaches a reader that is waiting", async () => {
  const stream = new AnswerStream<number>(() => undefined);
  const next = stream.next();
  stream.fail(new Error("lost"));
  await expect(next).rejects.toThrow("lost");
});

test("cancel ends the iteration without an error", async () => {
  const stream = new AnswerStream<number>(() => undefined);
  const all = collect(stream);
  stream.push(1);
  await Promise.resolve();
  stream.cancel();
  await expect(all).resolves.toEqual([1]);
});
