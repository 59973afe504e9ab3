import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SourceDescriptor } from "../source/source.js";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { runIo } from "./io.js";
import { IoClient } from "./io-client.js";

const bytes = randomBytes(50_000);
let server: ModelServer;
const arrived: number[] = [];

beforeEach(async () => {
  server = await ModelServer.start(bytes);
  arrived.length = 0;
});
afterEach(async () => {
  await server.stop();
});

/** Both ends of the conversation, in one process. */
function connect(source: SourceDescriptor): IoClient {
  const { port1, port2 } = new MessageChannel();
  runIo(port2, { source, store: "none", download: { chunkBytes: 16_384, attempts: 1 } });
  return new IoClient(port1, ({ bytes }) => arrived.push(bytes));
}

describe("a remote file", () => {
  test("is opened, read and closed", async () => {
    const io = connect({ kind: "url", url: server.url });
    expect(await io.open()).toMatchObject({ size: 50_000n, fromCache: false });
    expect(await io.read(49_000n, 1_000)).toEqual(bytes.subarray(49_000));
    expect(await io.read(5n, 10)).toEqual(bytes.subarray(5, 15));
    expect(await io.read(0n, 50_000)).toEqual(bytes);
    expect((await io.finish()).report).toEqual({ kind: "none", complete: false, networkBytes: server.sent });
    expect(await io.read(48_000n, 2_000)).toEqual(bytes.subarray(48_000));
    await io.close();
    expect(arrived.at(-1)).toBe(50_000);
  });

  test("that is abandoned rejects pending and later requests", async () => {
    const io = connect({ kind: "url", url: server.url });
    await io.open();
    const reading = io.read(0n, 50_000);
    await Promise.resolve();
    io.abandon(new Error("gone"));
    await expect(reading).rejects.toThrow("gone");
    await expect(io.read(0n, 10)).rejects.toThrow("gone");
    await expect(io.finish()).rejects.toThrow("gone");
  });

  test("that is not there is an error with its code, and so is a read before opening", async () => {
    server.behaviour = { status: 404 };
    const io = connect({ kind: "url", url: server.url });
    await expect(io.open()).rejects.toMatchObject({
      name: "ChordError",
      code: "http-status",
      details: { status: 404 },
    });
    await expect(io.read(0n, 1)).rejects.toMatchObject({ code: "internal" });
    await io.close();
  });
});

describe("a local file", () => {
  test("is used in place", async () => {
    const io = connect({ kind: "blob", blob: new File([bytes], "m.gguf") });
    expect(await io.open()).toMatchObject({ size: 50_000n, fromCache: true });
    expect(await io.read(1_000n, 2_000)).toEqual(bytes.subarray(1_000, 3_000));
    const { report, times } = await io.finish();
    expect(report).toEqual({ kind: "file", complete: true, networkBytes: 0 });
    expect(times).toEqual({ readMs: expect.any(Number), hashMs: 0 });
    expect(times.readMs).toBeGreaterThan(0);
  });

  test("may be empty", async () => {
    const io = connect({ kind: "blob", blob: new File([], "m.gguf") });
    expect(await io.open()).toMatchObject({ size: 0n });
    expect(await io.read(0n, 0)).toEqual(new Uint8Array(0));
    await io.close();
  });

  test("comes in chunks; a read may span several", async () => {
    const io = connect({ kind: "blob", blob: new File([bytes], "m.gguf") });
    await io.open();
    expect(await io.read(0n, 4_000)).toEqual(bytes.subarray(0, 4_000));
    expect(await io.read(16_000n, 20_000)).toEqual(bytes.subarray(16_000, 36_000));
    expect(await io.read(100n, 49_900)).toEqual(bytes.subarray(100));
    expect(await io.read(50_000n, 0)).toEqual(new Uint8Array(0));
    const [one, other] = [io.read(10_000n, 30_000), io.read(20_000n, 30_000)];
    await one;
    expect(await other).toEqual(bytes.subarray(20_000));
    await expect(io.read(49_999n, 2)).rejects.toMatchObject({ code: "internal" });
    await io.close();
  });
});
