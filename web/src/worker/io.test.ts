import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { SourceDescriptor } from "../source/source.js";
import { ModelServer, randomBytes } from "../testing/model-server.js";
import { runIo } from "./io.js";
import { IoClient } from "./io-client.js";

const bytes = randomBytes(50_000);
let server: ModelServer;
let close: ReturnType<typeof vi.fn>;
const arrived: number[] = [];

beforeEach(async () => {
  server = await ModelServer.start(bytes);
  close = vi.fn();
  vi.stubGlobal("close", close);
  arrived.length = 0;
});
afterEach(async () => {
  vi.unstubAllGlobals();
  await server.stop();
});

/** Both ends of the conversation, in one process. */
function connect(source: SourceDescriptor): IoClient {
  const { port1, port2 } = new MessageChannel();
  runIo(port2, source, "none");
  return new IoClient(port1, ({ bytes }) => arrived.push(bytes));
}

describe("a remote file", () => {
  test("is opened, read and closed", async () => {
    const io = connect({ kind: "url", url: server.url });
    expect(await io.open()).toMatchObject({ size: 50_000n, fromCache: false });
    expect(await io.read(49_000n, 1_000)).toEqual(bytes.subarray(49_000));
    expect(await io.read(5n, 10)).toEqual(bytes.subarray(5, 15));
    expect(await io.finish()).toEqual({ kind: "none", complete: false, networkBytes: 50_000 });
    expect(close).not.toHaveBeenCalled();
    expect(await io.read(48_000n, 2_000)).toEqual(bytes.subarray(48_000));
    await io.close();
    expect(close).toHaveBeenCalledTimes(1);
    expect(arrived.at(-1)).toBe(50_000);
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
    expect(await io.finish()).toEqual({ kind: "file", complete: true, networkBytes: 0 });
  });

  test("comes in one buffer that goes back and forth", async () => {
    const io = connect({ kind: "blob", blob: new File([bytes], "m.gguf") });
    await io.open();
    const first = await io.read(0n, 4_000);
    const second = await io.read(4_000n, 1_000);
    // The first view has lost its bytes to the second.
    expect(first.byteLength).toBe(0);
    expect(second.buffer.byteLength).toBe(4_000);
    expect(second).toEqual(bytes.subarray(4_000, 5_000));
    const larger = await io.read(0n, 9_000);
    expect(larger).toEqual(bytes.subarray(0, 9_000));
    await io.close();
  });
});
