import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { HttpSource } from "./http.js";
import type { RemoteBody } from "./source.js";

const bytes = randomBytes(10_000);
let server: ModelServer;

beforeEach(async () => {
  server = await ModelServer.start(bytes);
});
afterEach(() => server.stop());

const END = bytes.length;

async function fill(body: RemoteBody, target: Uint8Array): Promise<void> {
  for (let filled = 0; filled < target.length;) filled += await body.read(target.subarray(filled));
}

async function readAll(source: HttpSource, start: number): Promise<Uint8Array> {
  const body = await source.open(start, END);
  const target = new Uint8Array(body.end - body.position);
  await fill(body, target);
  return target;
}

describe("a server with ranges", () => {
  test("answers with the requested bytes and knows the size of the whole file", async () => {
    const body = await new HttpSource(server.url).open(2_500, 5_500);
    expect(body).toMatchObject({ size: 10_000, ranged: true, position: 2_500, end: 5_500, etag: '"1"' });
    const target = new Uint8Array(3_000);
    await fill(body, target);
    expect(target).toEqual(bytes.subarray(2_500, 5_500));
    expect(body.position).toBe(5_500);
    expect(server.ranges).toEqual(["bytes=2500-5499"]);
  });

  test("is read in pieces that do not match those of the network", async () => {
    const body = await new HttpSource(server.url).open(0, END);
    const read: number[] = [];
    while (body.position < body.size) {
      const target = new Uint8Array(Math.min(777, body.size - body.position));
      await fill(body, target);
      read.push(...target);
    }
    expect(Uint8Array.from(read)).toEqual(bytes);
  });

  test("without a readable Content-Range the size follows from the length of an open-ended range", async () => {
    server.behaviour = { without: ["content-range"] };
    const source = new HttpSource(server.url);
    expect(await source.open(4_000, 5_000)).toMatchObject({ size: 10_000, position: 4_000, end: 10_000 });
    expect(server.ranges).toEqual(["bytes=4000-4999", "bytes=4000-"]);
    expect(await source.open(6_000, 7_000)).toMatchObject({ size: 10_000, position: 6_000 });
  });

  test("that answers with another range is read without ranges, and refused if that does not help", async () => {
    server.behaviour = { times: 1, shiftRange: 16 };
    const source = new HttpSource(server.url);
    expect(await source.open(4_000, 5_000)).toMatchObject({ size: 10_000, ranged: false, position: 0 });
    expect(server.ranges).toEqual(["bytes=4000-4999", undefined]);
    const stubborn = () =>
      Promise.resolve(new Response(bytes, { status: 206, headers: { "content-range": "bytes 7-9999/10000" } }));
    await expect(new HttpSource(server.url, { fetch: stubborn }).open(4_000, 5_000)).rejects.toMatchObject({
      code: "bad-response",
      details: { wanted: 4_000, contentRange: "bytes 7-9999/10000" },
    });
  });

  test("that refuses a range inside of the file is read without ranges", async () => {
    server.behaviour = { times: 1, status: 416, headers: { "content-range": "bytes */10000" } };
    expect(await new HttpSource(server.url).open(4_000, 5_000)).toMatchObject({ ranged: false, position: 0 });
  });

  test("that compresses what it sends is read all the same", async () => {
    server.behaviour = { gzip: true };
    expect(await readAll(new HttpSource(server.url), 100)).toEqual(bytes.subarray(100));
  });
});

describe("a server without ranges", () => {
  test("is read from the start", async () => {
    server.behaviour = { noRanges: true };
    const body = await new HttpSource(server.url).open(4_000, END);
    expect(body).toMatchObject({ size: 10_000, ranged: false, position: 0 });
    body.cancel();
    expect(await readAll(new HttpSource(server.url), 0)).toEqual(bytes);
  });

  test("that does not report the length is refused", async () => {
    server.behaviour = { noRanges: true, without: ["content-length"] };
    await expect(new HttpSource(server.url).open(0, END)).rejects.toMatchObject({ code: "size-unknown" });
  });

  test("that sends a web page in place of the file gets an error that says so", async () => {
    server.behaviour = {
      noRanges: true,
      without: ["content-length"],
      headers: { "content-type": "text/html; charset=utf-8" },
    };
    const error = await new HttpSource(server.url).open(0, END).catch((error: Error) => error);
    expect(error).toMatchObject({ code: "bad-response", message: expect.stringContaining("a web page") });
  });

  test("that compresses does not report the length, which may be known otherwise", async () => {
    server.behaviour = { noRanges: true, gzip: true };
    expect(await readAll(new HttpSource(server.url, { size: 10_000 }), 0)).toEqual(bytes);
    server.behaviour = { noRanges: true, headers: { "content-encoding": "br" } };
    await expect(new HttpSource(server.url).open(0, END)).rejects.toMatchObject({ code: "size-unknown" });
  });
});

describe("failures", () => {
  test("says how long a busy server asks to wait", async () => {
    server.behaviour = { status: 429, headers: { "retry-after": "7" } };
    await expect(new HttpSource(server.url).open(0, END)).rejects.toMatchObject({ details: { retryAfterMs: 7_000 } });
  });

  test.each([404, 401, 416, 500])("status %i", async (status) => {
    server.behaviour = { status };
    await expect(new HttpSource(server.url).open(0, END)).rejects.toMatchObject({
      name: "ChordError",
      code: "http-status",
      details: { status, url: server.url },
    });
  });

  test("a connection that ends early", async () => {
    server.behaviour = { cutAfter: 3_000 };
    await expect(readAll(new HttpSource(server.url), 0)).rejects.toMatchObject({ code: "short-body" });
  });

  test("a connection on which nothing comes any more", async () => {
    server.behaviour = { stallAfter: 3_000 };
    await expect(readAll(new HttpSource(server.url, { stallMs: 100 }), 0)).rejects.toMatchObject({
      code: "network-stalled",
      details: { seconds: 0.1 },
    });
  });

  test("a body that is longer than announced", async () => {
    // A real server cannot do this; a proxy that decompresses can.
    const response = new Response(bytes, { headers: { "content-length": "9000" } });
    const source = new HttpSource(server.url, { fetch: () => Promise.resolve(response) });
    await expect(readAll(source, 0)).rejects.toMatchObject({ code: "bad-response", details: { expected: 9_000 } });
  });

  test("no server", async () => {
    await server.stop();
    await expect(new HttpSource(server.url).open(0, END)).rejects.toMatchObject({ code: "network-failed" });
  });

  test("an abort while waiting and while reading", async () => {
    server.behaviour = { stallAfter: 3_000 };
    const abort = new AbortController();
    const reading = readAll(new HttpSource(server.url, { signal: abort.signal }), 0);
    setTimeout(() => abort.abort(), 50);
    await expect(reading).rejects.toMatchObject({ name: "AbortError" });
    await expect(new HttpSource(server.url, { signal: abort.signal }).open(0, END)).rejects.toMatchObject({
      name: "AbortError",
    });
  });
});
