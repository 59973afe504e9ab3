import { beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineResponse, PoolRequest } from "../protocol.js";
import type { StartedModule } from "./modules.js";
import { PoolHost } from "./thread-pool.js";

type StartPool = Extract<EngineResponse, { type: "startPool" }>;

const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
const module = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));

/** The module's pool, played by hand. */
class FakePool {
  static last: FakePool;
  static isComplete = true;
  free = vi.fn();
  private next = 1000;
  constructor(readonly threads: number) {
    FakePool.last = this;
  }
  invitation = () => ++this.next;
  is_complete = () => FakePool.isComplete;
}
const started = { artifact: "threads", bindings: { ThreadPool: FakePool }, module, memory } as unknown as StartedModule;

let posted: { message: StartPool; transfer: MessagePort[] }[];
let host: PoolHost;

beforeEach(() => {
  FakePool.isComplete = true;
  posted = [];
  host = new PoolHost((message, transfer) => posted.push({ message, transfer }));
});

/** What comes through a port, which the test reads as the pool worker would. */
function hear(port: MessagePort): PoolRequest[] {
  const heard: PoolRequest[] = [];
  port.onmessage = ({ data }: MessageEvent<PoolRequest>) => heard.push(data);
  return heard;
}

describe("the engine's end of the pool", () => {
  test("the page gets only ports; module and memory go through them, and invitations when all are ready", async () => {
    const starting = host.start(started, 3);
    const { message, transfer } = posted[0]!;
    expect(Object.keys(message).sort()).toEqual(["type", "workers"]);
    expect(transfer).toEqual(message.workers);
    expect(message.workers).toHaveLength(2);
    const heard = message.workers.map(hear);
    await vi.waitFor(() => expect(heard.map(({ length }) => length)).toEqual([1, 1]));
    for (const [request] of heard) {
      expect(request).toMatchObject({ type: "start", artifact: "threads" });
      expect((request as { memory: WebAssembly.Memory }).memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    }
    host.started(undefined);
    await expect(starting).resolves.toBe(FakePool.last);
    await vi.waitFor(() => expect(heard.map(({ length }) => length)).toEqual([2, 2]));
    expect(heard.map(([, join]) => join)).toEqual([
      { type: "join", invitation: 1001 },
      { type: "join", invitation: 1002 },
    ]);
  });

  test("where ports take no shared memory, the page hands it on", async () => {
    const refused = new DOMException("The object can not be cloned.", "DataCloneError");
    const post = vi.spyOn(MessagePort.prototype, "postMessage").mockImplementationOnce(() => {
      throw refused;
    });
    const starting = host.start(started, 2);
    expect(posted[0]!.message.start).toEqual({ type: "start", artifact: "threads", module, memory });
    host.started(undefined);
    await starting;
    expect(post).toHaveBeenLastCalledWith({ type: "join", invitation: 1001 });
    post.mockRestore();
  });

  test("one thread needs no workers", async () => {
    await expect(host.start(started, 1)).resolves.toBe(FakePool.last);
    expect(posted).toEqual([]);
  });

  test("workers that the page could not start free the pool and close its ports", async () => {
    const starting = host.start(started, 2);
    const { workers } = posted[0]!.message;
    const closed = new Promise((resolve) => workers[0]!.addEventListener("close", resolve));
    const heard = hear(workers[0]!);
    host.started("no memory");
    await expect(starting).rejects.toThrow("no memory");
    expect(FakePool.last.free).toHaveBeenCalledOnce();
    await closed;
    expect(heard.map(({ type }) => type)).not.toContain("join");
  });

  test("workers that do not join in time are ended", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
    FakePool.isComplete = false;
    const starting = host.start(started, 2);
    const refused = expect(starting).rejects.toThrow("not all workers had started");
    host.started(undefined);
    await vi.advanceTimersByTimeAsync(11_000);
    await refused;
    expect(posted.at(-1)).toEqual({ message: { type: "startPool", workers: [] }, transfer: [] });
    expect(FakePool.last.free).toHaveBeenCalledOnce();
    vi.useRealTimers();
  });
});
