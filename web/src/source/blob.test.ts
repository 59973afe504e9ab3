import { expect, test } from "vitest";
import { randomBytes } from "../testing/random-bytes.js";
import { BlobFile } from "./blob.js";

test("a file is read in place, chunk by chunk", async () => {
  const bytes = randomBytes(5_000);
  const file = new BlobFile(new File([bytes], "a.gguf"), 2_000);
  expect(file.size).toBe(5_000);
  expect(await file.chunk(1)).toEqual(bytes.subarray(2_000, 4_000));
  expect(await file.chunk(2)).toEqual(bytes.subarray(4_000));
});

test("a file that became shorter is an error with both lengths", async () => {
  const file = new File([randomBytes(100)], "a.gguf");
  file.slice = () => new Blob([randomBytes(10)]);
  await expect(new BlobFile(file, 20).chunk(4)).rejects.toMatchObject({
    code: "file-unreadable",
    details: { offset: 80, expected: 20, found: 10 },
  });
});

test("a file behind a handle is read in place; one that is gone is an error with its name", async () => {
  const bytes = randomBytes(100);
  const handle = { kind: "file", name: "a.gguf", getFile: () => Promise.resolve(new File([bytes], "a.gguf")) };
  const file = await BlobFile.ofHandle(handle as unknown as FileSystemFileHandle);
  expect(await file.chunk(0)).toEqual(bytes);
  handle.getFile = () => Promise.reject(new DOMException("gone", "NotFoundError"));
  await expect(BlobFile.ofHandle(handle as unknown as FileSystemFileHandle)).rejects.toMatchObject({
    code: "file-unreadable",
    message: expect.stringContaining("a.gguf"),
  });
});

test("a file that vanished is an error with its name", async () => {
  const blob = new File([randomBytes(100)], "gone.gguf");
  blob.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) }) as Blob;
  await expect(new BlobFile(blob).chunk(0)).rejects.toMatchObject({
    code: "file-unreadable",
    message: expect.stringContaining("gone.gguf"),
  });
});
