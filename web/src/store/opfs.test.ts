/** In browsers other than Chromium a file can be open only once at a time, whatever mode is requested. */

import { afterEach, expect, test, vi } from "vitest";
import { OpfsStore } from "./opfs.js";
import type { ModelBytes } from "./store.js";

const model: ModelBytes = { id: "m", size: 25, chunkBytes: 10 };

/** A folder with one file, which can be open only once at a time. */
function exclusiveFolder() {
  let bytes = new Uint8Array(0);
  const opened = { times: 0, refused: 0, failWrites: 0 };
  let isOpen = false;
  const resize = (size: number) => {
    const next = new Uint8Array(size);
    next.set(bytes.subarray(0, size));
    bytes = next;
  };
  const file = {
    createSyncAccessHandle: async () => {
      await new Promise((later) => setTimeout(later, 1));
      if (isOpen) {
        opened.refused++;
        throw new DOMException("The file is open", "NoModificationAllowedError");
      }
      isOpen = true;
      opened.times++;
      return {
        read: (target: Uint8Array, { at }: { at: number }) => {
          const piece = bytes.subarray(at, at + target.length);
          target.set(piece);
          return piece.length;
        },
        write: (data: Uint8Array, { at }: { at: number }) => {
          if (opened.failWrites-- > 0) throw new DOMException("The file is not there", "InvalidStateError");
          if (bytes.length < at + data.length) resize(at + data.length);
          bytes.set(data, at);
          return data.length;
        },
        truncate: resize,
        flush: () => undefined,
        getSize: () => bytes.length,
        close: () => (isOpen = false),
      };
    },
  };
  const folder = { getFileHandle: () => Promise.resolve(file), removeEntry: () => Promise.resolve() };
  const root = { getDirectoryHandle: () => Promise.resolve(folder) };
  vi.stubGlobal("navigator", { storage: { getDirectory: () => Promise.resolve(root) } });
  return opened;
}

afterEach(() => void vi.unstubAllGlobals());

test("chunks written and read at once in a later visit open the file once", async () => {
  const opened = exclusiveFolder();
  const store = await OpfsStore.open();
  const chunk = (index: number) => new Uint8Array(index === 2 ? 5 : 10).fill(index + 1);
  await Promise.all([0, 1, 2].map((index) => store.write(model, index, chunk(index))));
  const [first, ...written] = await Promise.all([
    store.chunk(model, 0),
    store.writePieces(model, 5, chunk(2), [{ index: 1, start: 5, length: 5, hash: "" }]),
    store.write(model, 2, chunk(2)),
  ]);
  expect(first).toEqual(chunk(0));
  expect(written.length).toBe(2);
  expect(await store.chunk(model, 1)).toEqual(new Uint8Array([2, 2, 2, 2, 2, 3, 3, 3, 3, 3]));
  expect(opened).toMatchObject({ times: 1, refused: 0 });
});

test("a write that fails once is retried on the reopened file, and one that fails twice is an error", async () => {
  const opened = exclusiveFolder();
  const store = await OpfsStore.open();
  opened.failWrites = 1;
  await store.write(model, 0, new Uint8Array(10).fill(7));
  expect(await store.chunk(model, 0)).toEqual(new Uint8Array(10).fill(7));
  expect(opened).toMatchObject({ times: 2, refused: 0 });
  opened.failWrites = 2;
  await expect(store.write(model, 1, new Uint8Array(10))).rejects.toMatchObject({ code: "storage-failed" });
});
