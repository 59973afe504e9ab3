import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WholeHash } from "../download/whole-hash.js";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { HttpSource } from "./http.js";
import type { RemoteSource } from "./source.js";
import { partCount, partUrls, SplitSource } from "./split.js";

/** Writes GGUF as its specification describes it. */
class Writer {
  private readonly bytes: number[] = [];

  number(value: number | bigint, size: number): this {
    for (let byte = 0; byte < size; byte++) this.bytes.push(Number((BigInt(value) >> BigInt(8 * byte)) & 255n));
    return this;
  }
  text(text: string): this {
    this.number(text.length, 8);
    this.bytes.push(...new TextEncoder().encode(text));
    return this;
  }
  raw(bytes: Uint8Array): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }
  pad(alignment: number): this {
    while (this.bytes.length % alignment > 0) this.bytes.push(0);
    return this;
  }
  done(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.bytes);
  }
}

interface Tensor {
  name: string;
  /** As many F32 values as bytes / 4. */
  data: Uint8Array;
}

const metadata = (writer: Writer) => {
  writer.text("general.architecture").number(8, 4).text("llama");
  writer.text("some.strings").number(9, 4).number(8, 4).number(2, 8).text("a").text("bcd");
  writer.text("some.numbers").number(9, 4).number(4, 4).number(3, 8).number(1, 4).number(2, 4).number(3, 4);
  writer.text("a.bool").number(7, 4).number(1, 1);
};
const split = (writer: Writer, no: number, count: number, tensors: number) => {
  writer.text("split.no").number(2, 4).number(no, 2);
  writer.text("split.tensors.count").number(5, 4).number(tensors, 4);
  writer.text("split.count").number(2, 4).number(count, 2);
};

/** A GGUF file; `kv` writes its `entries` entries of metadata. */
function gguf(tensors: Tensor[], entries: number, kv: (writer: Writer) => void): Uint8Array<ArrayBuffer> {
  const writer = new Writer().raw(new TextEncoder().encode("GGUF")).number(3, 4);
  writer.number(tensors.length, 8).number(entries, 8);
  kv(writer);
  let offset = 0;
  for (const { name, data } of tensors) {
    writer
      .text(name)
      .number(1, 4)
      .number(data.length / 4, 8)
      .number(0, 4)
      .number(offset, 8);
    offset += Math.ceil(data.length / 32) * 32;
  }
  writer.pad(32);
  for (const { data } of tensors) writer.raw(data).pad(32);
  return writer.done();
}

const tensors = [40, 64, 4, 100, 32].map((length, at) => ({ name: `tensor.${at}`, data: randomBytes(length, at + 1) }));
const partOf = [tensors.slice(0, 2), tensors.slice(2, 3), tensors.slice(3)];
const parts = partOf.map((own, no) =>
  gguf(own, no === 0 ? 7 : 3, (writer) => {
    if (no === 0) metadata(writer);
    split(writer, no, 3, 5);
  }),
);
/** The same tensors in one file, with the metadata of the first part. */
const whole = gguf(tensors, 7, (writer) => {
  metadata(writer);
  split(writer, 0, 3, 5);
});

let servers: ModelServer[];
beforeEach(async () => {
  servers = await Promise.all(parts.map((part) => ModelServer.start(part)));
});
afterEach(() => Promise.all(servers.map((server) => server.stop())));

const source = () => new SplitSource(servers.map(({ url }) => new HttpSource(url)));

async function read(remote: RemoteSource, start: number, end: number): Promise<Uint8Array> {
  const body = await remote.open(start, end);
  const bytes = new Uint8Array(body.end - body.position);
  for (let filled = 0; filled < bytes.length;) filled += await body.read(bytes.subarray(filled));
  return bytes;
}

describe("parts", () => {
  test("are read as the file that they were split from", async () => {
    expect(await read(source(), 0, 1e9)).toEqual(whole);
  });

  test("from any byte to any other", async () => {
    const remote = source();
    for (let start = 0; start < whole.length; start += 37) {
      expect(await read(remote, start, start + 150)).toEqual(whole.subarray(start, start + 150));
    }
  });

  test("also from servers without ranges", async () => {
    for (const server of servers) server.behaviour = { noRanges: true };
    expect(await read(source(), 500, 700)).toEqual(whole.subarray(500, 700));
  });

  test("in another order are refused", async () => {
    [servers[1]!.bytes, servers[2]!.bytes] = [servers[2]!.bytes, servers[1]!.bytes];
    await expect(source().open(0, 100)).rejects.toMatchObject({
      code: "bad-split",
      details: { expected: { no: 1, count: 3 }, found: { no: 2, count: 3 } },
    });
  });

  test("of another number, or none at all, are refused", async () => {
    await servers.pop()!.stop();
    await expect(source().open(0, 100)).rejects.toMatchObject({ code: "bad-split" });
    servers[1]!.bytes = randomBytes(1000);
    await expect(source().open(0, 100)).rejects.toMatchObject({ code: "bad-split" });
  });

  test("cut at any byte of a header are refused", async () => {
    // 24 bytes, 82 of metadata, and the entry of one tensor.
    for (let length = 1; length < 146; length += 4) {
      servers[1]!.bytes = parts[1]!.subarray(0, length);
      await expect(source().open(0, 100)).rejects.toMatchObject({
        code: expect.stringMatching(/^(truncated|bad-split)$/),
      });
    }
  });

  test("that change meanwhile are noticed", async () => {
    const remote = source();
    await read(remote, 0, 100);
    servers[1]!.etag = '"2"';
    await expect(read(remote, 0, whole.length)).rejects.toMatchObject({ code: "source-changed" });
  });

  test("whose connection is cut while it opens have not changed, and may be read again", async () => {
    const remote = source();
    const from = whole.length - 10;
    const body = await remote.open(from, 1e9);
    const reading = body.read(new Uint8Array(10));
    body.cancel();
    await expect(reading).rejects.toMatchObject({ code: "short-body" });
    expect(await read(remote, from, 1e9)).toEqual(whole.subarray(from));
  });
});

describe("hashes of parts", () => {
  const sum = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

  /** What the hashes say once the merged file has come in chunks of `chunkBytes`. */
  async function compare(hashes: (string | undefined)[], chunkBytes: number) {
    const remote = new SplitSource(
      servers.map(({ url }) => new HttpSource(url)),
      hashes,
    );
    expect(await remote.hashed()).toEqual([]);
    const merged = await read(remote, 0, 1e9);
    const stretches = await remote.hashed();
    const whole = await WholeHash.create(stretches);
    for (let index = 0; index * chunkBytes < merged.length; index++) {
      whole.offer(index, merged.subarray(index * chunkBytes, (index + 1) * chunkBytes));
    }
    return { stretches: stretches.length, mismatch: whole.finish() };
  }

  test.each([1, 7, 64, 1_000, 10_000])("are those of the files, in chunks of %i bytes", async (chunkBytes) => {
    expect(await compare(parts.map(sum), chunkBytes)).toEqual({ stretches: 3, mismatch: undefined });
    for (const [wrong, url] of servers.map(({ url }) => url).entries()) {
      const hashes = parts.map((part, no) => (no === wrong ? "0".repeat(64) : sum(part)));
      const mismatch = { url, expected: "0".repeat(64), found: sum(parts[wrong]!) };
      expect(await compare(hashes, chunkBytes)).toEqual({ stretches: 3, mismatch });
    }
  });

  test("are compared as far as they are known", async () => {
    expect(await compare([undefined, sum(parts[1]!)], 100)).toEqual({ stretches: 1, mismatch: undefined });
    expect((await compare([undefined, sum(parts[2]!)], 100)).mismatch).toMatchObject({ found: sum(parts[1]!) });
  });
});

describe("names of parts", () => {
  test("follow from the first", () => {
    expect(partUrls("https://host/m-00001-of-00002.gguf?x=1")).toEqual([
      "https://host/m-00001-of-00002.gguf?x=1",
      "https://host/m-00002-of-00002.gguf?x=1",
    ]);
    expect(partCount("https://host/m.gguf")).toBe(1);
  });

  test("must begin with the first", () => {
    expect(() => partCount("https://host/m-00002-of-00002.gguf")).toThrow(
      expect.objectContaining({ code: "invalid-argument" }),
    );
  });
});
