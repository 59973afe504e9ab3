import { expect, test } from "vitest";
import { randomBytes } from "../testing/model-server.js";
import { BlobFile } from "./blob.js";

test("a file is read in place, slice by slice", async () => {
  const bytes = randomBytes(5_000);
  const file = new BlobFile(new File([bytes], "a.gguf"));
  expect(file.size).toBe(5_000);
  const target = new Uint8Array(1_000);
  await file.readInto(3_999, target);
  expect(target).toEqual(bytes.subarray(3_999, 4_999));
});

test("a file that became shorter is an error with both lengths", async () => {
  const blob = new File([randomBytes(100)], "a.gguf");
  await expect(new BlobFile(blob).readInto(90, new Uint8Array(20))).rejects.toMatchObject({
    code: "file-unreadable",
    details: { offset: 90, expected: 20, found: 10 },
  });
});

test("a file that vanished is an error with its name", async () => {
  const blob = new File([randomBytes(100)], "gone.gguf");
  blob.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) }) as Blob;
  await expect(new BlobFile(blob).readInto(0, new Uint8Array(20))).rejects.toMatchObject({
    code: "file-unreadable",
    message: expect.stringContaining("gone.gguf"),
  });
});
