import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { randomBytes } from "../testing/random-bytes.js";
import { AnnouncedHash } from "./announced-hash.js";
import { WholeHash } from "./whole-hash.js";

const chunkBytes = 1_000;
const bytes = randomBytes(4_500);
const count = 5;
const chunk = (index: number) =>
  new Uint8Array(bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes)) as Uint8Array<ArrayBuffer>;

/** A file with some chunks stored. */
async function file(stored: number[], sha256 = createHash("sha256").update(bytes).digest("hex")) {
  const whole = { url: "u", start: 0, end: Infinity, before: new Uint8Array(0), sha256 };
  const chunks = new Set(stored);
  const reads: number[] = [];
  let recycled = 0;
  const announced = new AnnouncedHash(await WholeHash.create([whole]), count, {
    has: (index) => chunks.has(index),
    read: async (index) => {
      reads.push(index);
      return chunks.has(index) ? chunk(index) : undefined;
    },
    recycle: () => void recycled++,
  });
  return { announced, chunks, reads, recycled: () => recycled };
}

describe("an announced hash", () => {
  test("is computed from chunks off the network and, where these came out of order, from the store", async () => {
    const { announced, chunks, reads, recycled } = await file([]);
    for (const index of [0, 2, 1, 4, 3]) {
      announced.offer(index, chunk(index));
      chunks.add(index);
    }
    expect(await announced.compare()).toBe("equal");
    expect(reads).toEqual([2, 3, 4]);
    expect(recycled()).toBe(3);
  });

  test("is computed from stored chunks while others are still to come", async () => {
    const { announced, chunks, reads } = await file([0, 1, 3]);
    announced.catchUp();
    await expect.poll(() => reads).toEqual([0, 1]);
    announced.offer(2, chunk(2));
    announced.offer(4, chunk(4));
    chunks.add(2).add(4);
    expect(await announced.compare()).toBe("equal");
    expect(reads).toEqual([0, 1, 3, 4]);
  });

  test("that differs is reported with the one that was found", async () => {
    const { announced } = await file([0, 1, 2, 3, 4], "0".repeat(64));
    const found = createHash("sha256").update(bytes).digest("hex");
    expect(await announced.compare()).toEqual({ url: "u", expected: "0".repeat(64), found });
  });

  test("is not compared where a chunk is missing, and can be later", async () => {
    const { announced, chunks } = await file([0, 1, 3, 4]);
    expect(await announced.compare()).toBe("unread");
    chunks.add(2);
    expect(await announced.compare()).toBe("equal");
  });

  test("is not computed any further once it is stopped", async () => {
    const { announced, reads } = await file([0, 1, 2, 3, 4]);
    announced.catchUp();
    announced.stop();
    expect(await announced.compare()).toBe("unread");
    expect(reads).toEqual([0]);
  });
});
