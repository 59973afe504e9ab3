import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ModelServer, randomBytes } from "../testing/model-server.js";
import { HttpSource } from "./http.js";

const bytes = randomBytes(10_000);
let server: ModelServer;

beforeEach(async () => {
  server = await ModelServer.start(bytes);
});
afterEach(() => server.stop());

async function readAll(source: HttpSource, start: number): Promise<Uint8Array> {
  const body = await source.open(start);
  const target = new Uint8Array(body.size - body.position);
  await body.fill(target);
  return target;
}

describe("a server with ranges", () => {
  test("starts at the byte that was asked for and knows the size of the whole file", async () => {
    const body = await new HttpSource(server.url).open(2_500);
    expect(body).toMatchObject({ size: 10_000, ranged: true, position: 2_500, validator: '"1"' });
    const target = new Uint8Array(3_000);
    let counted = 0;
    await body.fill(target, (count) => (counted += count));
    expect(target).toEqual(bytes.subarray(2_500, 5_500));
    expect(counted).toBe(3_000);
    expect(body.position).toBe(5_500);
    body.cancel();
    expect(server.ranges).toEqual(["bytes=2500-"]);
  });

  test("reads on in pieces that do not fall together with those of the network", async () => {
    const body = await new HttpSource(server.url).open(0);
    const read: number[] = [];
    while (body.position < body.size) {
      const target = new Uint8Array(Math.min(777, body.size - body.position));
      await body.fill(target);
      read.push(...target);
    }
    expect(Uint8Array.from(read)).toEqual(bytes);
  });

  test("without a readable Content-Range the size follows from the length of the open-ended range", async () => {
    server.behaviour = { without: ["content-range"] };
    const body = await new HttpSource(server.url).open(4_000);
    expect(body.size).toBe(10_000);
    body.cancel();
  });

  test("another range than asked for is refused with both", async () => {
    server.behaviour = { headers: { "content-range": "bytes 0-9999/10000", "content-length": "10000" } };
    await expect(new HttpSource(server.url).open(4_000)).rejects.toMatchObject({
      code: "bad-response",
      details: { wanted: 4_000, contentRange: "bytes 0-9999/10000" },
    });
  });
});

describe("a server without ranges", () => {
  test("is read from the start", async () => {
    server.behaviour = { noRanges: true };
    const body = await new HttpSource(server.url).open(4_000);
    expect(body).toMatchObject({ size: 10_000, ranged: false, position: 0 });
    body.cancel();
    expect(await readAll(new HttpSource(server.url), 0)).toEqual(bytes);
  });

  test("that does not tell the length is refused", async () => {
    server.behaviour = { noRanges: true, without: ["content-length"] };
    await expect(new HttpSource(server.url).open(0)).rejects.toMatchObject({ code: "size-unknown" });
  });

  test("that compresses does not tell the length", async () => {
    server.behaviour = { noRanges: true, headers: { "content-encoding": "br" } };
    await expect(new HttpSource(server.url).open(0)).rejects.toMatchObject({ code: "size-unknown" });
  });
});

describe("failures", () => {
  test.each([404, 401, 416, 500])("status %i", async (status) => {
    server.behaviour = { status };
    await expect(new HttpSource(server.url).open(0)).rejects.toMatchObject({
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
    await expect(new HttpSource(server.url).open(0)).rejects.toMatchObject({ code: "network-failed" });
  });

  test("an abort while waiting and while reading", async () => {
    server.behaviour = { stallAfter: 3_000 };
    const abort = new AbortController();
    const reading = readAll(new HttpSource(server.url, { signal: abort.signal }), 0);
    setTimeout(() => abort.abort(), 50);
    await expect(reading).rejects.toMatchObject({ name: "AbortError" });
    await expect(new HttpSource(server.url, { signal: abort.signal }).open(0)).rejects.toMatchObject({
      name: "AbortError",
    });
  });
});
