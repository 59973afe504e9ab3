/** Files with more bytes than 32 bits can count: their bytes are made as they are read. */

import { describe, expect, test } from "vitest";
import { CachedFile } from "./download/cached-file.js";
import { HttpSource } from "./source/http.js";
import type { RemoteBody, RemoteSource } from "./source/source.js";
import { CHUNK_BYTES, chunkCount, chunkRange } from "./store/store.js";

const gibibyte = 2 ** 30;
const size = 9 * gibibyte + 12_345;
/** The boundaries of signed and unsigned 32-bit arithmetic, and twice the latter. */
const boundaries = [2 * gibibyte, 4 * gibibyte, 8 * gibibyte];

/** Byte `offset` of the file: it depends on every bit of the offset. */
function byteAt(offset: number): number {
  const high = Math.floor(offset / 2 ** 32);
  const low = offset % 2 ** 32;
  return (low ^ (low >>> 8) ^ (low >>> 16) ^ (low >>> 24) ^ (high * 37)) & 255;
}

function bytesAt(offset: number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => byteAt(offset + i));
}

class GeneratedBody implements RemoteBody {
  readonly size = size;
  readonly ranged = true;
  readonly etag = null;
  readonly lastModified = null;

  constructor(
    public position: number,
    readonly end: number,
  ) {}

  async read(target: Uint8Array): Promise<number> {
    const count = Math.min(target.length, this.end - this.position);
    for (let i = 0; i < count; i++) target[i] = byteAt(this.position + i);
    this.position += count;
    return count;
  }

  cancel(): void {}
}

class GeneratedSource implements RemoteSource {
  readonly url = "https://example.com/model.gguf";

  async open(start: number, end: number): Promise<RemoteBody> {
    return new GeneratedBody(start, Math.min(end, size));
  }
}

/** A server of the file, which makes its bytes as they are read. */
function server(ranges: string[]): typeof fetch {
  return async (_url, init) => {
    const range = new Headers(init?.headers).get("range") ?? "";
    ranges.push(range);
    const [start = NaN, last = NaN] = (/^bytes=(\d+)-(\d+)$/.exec(range) ?? []).slice(1).map(Number);
    let at = start;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(bytesAt(at, 1_000));
        at += 1_000;
      },
    });
    const headers = {
      "Content-Range": `bytes ${start}-${last}/${size}`,
      "Content-Length": String(last + 1 - start),
    };
    return new Response(body, { status: 206, headers });
  };
}

describe("past 2, 4 and 8 GiB", () => {
  test("chunks cover the file without a gap", () => {
    const count = chunkCount(size, CHUNK_BYTES);
    expect(count).toBe(577);
    for (const boundary of boundaries) {
      const index = boundary / CHUNK_BYTES;
      const before = chunkRange(size, CHUNK_BYTES, index - 1);
      expect(before.start + before.length).toBe(boundary);
      expect(chunkRange(size, CHUNK_BYTES, index).start).toBe(boundary);
    }
    expect(chunkRange(size, CHUNK_BYTES, count - 1)).toEqual({ start: 9 * gibibyte, length: 12_345 });
  });

  test.each(boundaries)("a connection from around byte %i on delivers the bytes of that place", async (boundary) => {
    const ranges: string[] = [];
    const source = new HttpSource("https://example.com/model.gguf", { fetch: server(ranges) });
    const body = await source.open(boundary - 500, size);
    expect(body.size).toBe(size);
    expect(body.position).toBe(boundary - 500);
    const found = new Uint8Array(2_000);
    for (let filled = 0; filled < found.length;) filled += await body.read(found.subarray(filled));
    body.cancel();
    expect(ranges).toEqual([`bytes=${boundary - 500}-${size - 1}`]);
    expect(found).toEqual(bytesAt(boundary - 500, 2_000));
    expect(body.position).toBe(boundary + 1_500);
  });

  test("the chunks of a file have the bytes of their places", async () => {
    const chunkBytes = 65_536;
    const file = await CachedFile.open("https://example.com/model.gguf", new GeneratedSource(), { chunkBytes });
    expect(file.size).toBe(size);
    for (const boundary of boundaries) {
      for (const start of [boundary - chunkBytes, boundary]) {
        const chunk = await file.chunk(start / chunkBytes);
        expect(Buffer.compare(chunk, bytesAt(start, chunkBytes))).toBe(0);
        file.recycle(chunk.buffer);
      }
    }
    file.close();
  });
});
