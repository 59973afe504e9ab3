/** What every chunk store must do. The same cases run against all of them, in Node and in a real browser. */

import { randomBytes } from "./random-bytes.js";
import { type ChunkStore, chunkRange, type ModelBytes } from "../store/store.js";

/** A new store for one case, and a second view of the same place, as in another visit. */
export interface StorePlace {
  open(): Promise<ChunkStore>;
  /** Opens the place again; `undefined` where nothing outlives the store. */
  reopen: (() => Promise<ChunkStore>) | undefined;
}

/** One property of a chunk store; rejects when it does not hold. */
export interface ContractCase {
  name: string;
  run(place: StorePlace): Promise<void>;
}

/** 25 bytes in chunks of 10: two whole ones and a short one. */
const model: ModelBytes = { id: "a-model", size: 25, chunkBytes: 10 };
const other: ModelBytes = { ...model, id: "another" };
const file = randomBytes(25, 1);

const chunkOf = (index: number) => {
  const { start, length } = chunkRange(model.size, model.chunkBytes, index);
  return file.slice(start, start + length);
};

async function writeAll(store: ChunkStore, into = model): Promise<void> {
  await store.prepare(into);
  for (const index of [2, 0, 1]) await store.write(into, index, chunkOf(index));
}

/** The cases. */
export const STORE_CONTRACT: ContractCase[] = [
  {
    name: "chunks are read back as they were written, in whatever order",
    async run({ open }) {
      const store = await open();
      await writeAll(store);
      for (const index of [1, 2, 0]) equal(await store.chunk(model, index), chunkOf(index));
    },
  },
  {
    name: "a chunk is read into the caller's buffer or comes in its own, with the same bytes",
    async run({ open }) {
      const store = await open();
      await writeAll(store);
      const buffer = new Uint8Array(30).fill(7);
      const into = buffer.subarray(10, 20);
      equal(await store.chunk(model, 1, into), chunkOf(1));
      // Nothing beside it is touched.
      equal(buffer.subarray(0, 10), new Uint8Array(10).fill(7));
      equal(buffer.subarray(20), new Uint8Array(10).fill(7));
    },
  },
  {
    name: "the view is written, not the buffer behind it, and stays when the buffer is reused",
    async run({ open }) {
      const store = await open();
      await store.prepare(model);
      const buffer = new Uint8Array(30).fill(9);
      buffer.set(chunkOf(0), 10);
      await store.write(model, 0, buffer.subarray(10, 20));
      buffer.fill(0);
      equal(await store.chunk(model, 0), chunkOf(0));
    },
  },
  {
    name: "ranges are read across chunks",
    async run({ open }) {
      const store = await open();
      await writeAll(store);
      for (const [start, end] of [
        [0, 25],
        [9, 11],
        [10, 20],
        [3, 24],
        [24, 25],
        [5, 5],
      ] as const) {
        const target = new Uint8Array(end - start);
        is(await store.read(model, start, target), true, `read ${start}–${end}`);
        equal(target, file.slice(start, end));
      }
    },
  },
  {
    name: "a range with missing bytes is refused",
    async run({ open }) {
      const store = await open();
      await store.prepare(model);
      await store.write(model, 0, chunkOf(0));
      is(await store.read(model, 5, new Uint8Array(10)), false, "read beyond the first chunk");
    },
  },
  {
    name: "missing chunks are reported as missing",
    async run({ open }) {
      const store = await open();
      is(await store.chunk(model, 0), undefined, "chunk of an unknown model");
      is((await store.present(model)).size, 0, "chunks of an unknown model");
      await store.prepare(model);
      is((await store.present(model)).size, 0, "chunks of a model that was only prepared");
      await store.write(model, 0, chunkOf(0));
      is(await store.chunk(model, 2), undefined, "chunk that was not written");
      equal([...(await store.present(model))], [0]);
    },
  },
  {
    name: "a chunk written again replaces the old one",
    async run({ open }) {
      const store = await open();
      await writeAll(store);
      const again = randomBytes(10, 5);
      await store.write(model, 1, again);
      equal(await store.chunk(model, 1), again);
      equal(await store.chunk(model, 0), chunkOf(0));
      equal(await store.chunk(model, 2), chunkOf(2));
    },
  },
  {
    name: "deleting a model leaves nothing of it, and others keep theirs",
    async run({ open }) {
      const store = await open();
      await writeAll(store);
      await writeAll(store, other);
      equal((await store.ids()).sort(), [model.id, other.id]);
      await store.delete(model.id);
      await store.delete("never there");
      is(await store.chunk(model, 0), undefined, "chunk of the deleted model");
      is((await store.present(model)).size, 0, "chunks of the deleted model");
      equal(await store.ids(), [other.id]);
      equal(await store.chunk(other, 2), chunkOf(2));
      // And it can be begun again.
      await store.prepare(model);
      is(await store.chunk(model, 0), undefined, "chunk of the model begun again");
    },
  },
  {
    name: "a later visit finds what an earlier one wrote",
    async run({ open, reopen }) {
      const first = await open();
      await writeAll(first);
      if (!reopen) return;
      first.close();
      const second = await reopen();
      equal((await second.present(model)).size, 3);
      equal(await second.chunk(model, 2), chunkOf(2));
      second.close();
    },
  },
  {
    name: "a second reader sees chunks while the first still writes",
    async run({ open, reopen }) {
      const writer = await open();
      await writer.prepare(model);
      await writer.write(model, 0, chunkOf(0));
      if (!reopen) return;
      const reader = await reopen();
      equal(await reader.chunk(model, 0), chunkOf(0));
      is(await reader.chunk(model, 1), undefined, "chunk not written yet");
      await writer.write(model, 1, chunkOf(1));
      equal(await reader.chunk(model, 1), chunkOf(1));
      reader.close();
    },
  },
];

function equal(found: unknown, expected: unknown): void {
  const text = (value: unknown) => JSON.stringify(value instanceof Uint8Array ? Array.from(value) : value);
  if (text(found) !== text(expected)) throw new Error(`expected ${text(expected)}, found ${text(found)}`);
}

function is(found: unknown, expected: unknown, what: string): void {
  if (found !== expected) throw new Error(`${what}: expected ${String(expected)}, found ${String(found)}`);
}
