import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BufferPool, LENT } from "./buffers.js";

const most = 4;

/** Node 20 has no `transfer`: here it only empties the buffer. */
const prototype = ArrayBuffer.prototype as { transfer?: unknown };
const own = prototype.transfer;
beforeEach(() => {
  prototype.transfer ??= function (this: ArrayBuffer) {
    structuredClone(this, { transfer: [this] });
  };
});
afterEach(() => {
  if (own === undefined) delete prototype.transfer;
});

describe("a pool of chunk buffers", () => {
  test("never has more of them than its total, whatever is taken, lent and given back", async () => {
    const pool = new BufferPool(most);
    const made = new Set<ArrayBuffer>();
    const alive = () => [...made].filter((buffer) => buffer.byteLength > 0).length;
    const note = ({ buffer }: Uint8Array<ArrayBuffer>) => {
      made.add(buffer);
      return buffer;
    };
    const taken: ArrayBuffer[] = [];
    const lent: ArrayBuffer[] = [];
    let state = 1;
    const random = (below: number) => (state = (state * 48271) % 0x7fffffff) % below;
    const one = (buffers: ArrayBuffer[]) => buffers.splice(random(buffers.length), 1)[0]!;
    let highest = 0;
    for (let step = 0; step < 5_000; step++) {
      const length = random(9) === 0 ? 100 : 1000;
      const what = random(6);
      if (what === 0 && taken.length < most) taken.push(note(await pool.take(length)));
      if (what === 1 && taken.length > 0) pool.give(one(taken));
      if (what === 2 && lent.length < LENT) lent.push(note(pool.borrow(length)));
      if (what === 3 && lent.length > 0) pool.back(one(lent));
      if (what === 4 && taken.length > 0 && lent.length < LENT) {
        pool.lend();
        lent.push(one(taken));
      }
      if (what === 5 && lent.length < LENT) {
        // Like a buffer from IndexedDB: the new one exists before an older one can be freed.
        const other = new ArrayBuffer(length);
        pool.adopt();
        made.add(other);
        lent.push(other);
      }
      highest = Math.max(highest, alive());
    }
    expect(highest).toBe(most + LENT);
  });

  test("hands out a returned buffer again, and waits for one when all are out", async () => {
    const pool = new BufferPool(1);
    const first = await pool.take(10);
    let second: Uint8Array<ArrayBuffer> | undefined;
    const waiting = pool.take(10).then((bytes) => (second = bytes));
    await Promise.resolve();
    expect(second).toBeUndefined();
    pool.give(first.buffer);
    await waiting;
    expect(second!.buffer).toBe(first.buffer);
  });

  test("frees idle buffers, and nothing else", async () => {
    const pool = new BufferPool(2);
    const [idle, kept] = [await pool.take(10), await pool.take(10)];
    pool.give(idle.buffer);
    pool.release();
    expect([idle.byteLength, kept.byteLength]).toEqual([0, 10]);
    expect((await pool.take(10)).byteLength).toBe(10);
  });

  test("does not count lent buffers as taken", async () => {
    const pool = new BufferPool(1);
    const lent = await pool.take(10);
    pool.lend();
    const next = await pool.take(10);
    expect(next.buffer).not.toBe(lent.buffer);
    pool.give(next.buffer);
    expect(pool.borrow(10).buffer).toBe(next.buffer);
    pool.back(lent.buffer);
    expect((await pool.take(10)).buffer).toBe(lent.buffer);
  });
});
