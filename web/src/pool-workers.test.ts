import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PoolWorkers } from "./pool-workers.js";
import type { PoolRequest, PoolResponse } from "./protocol.js";

/** A pool worker, played by hand. */
class FakeWorker {
  static all: FakeWorker[] = [];
  onmessage: ((event: { data: PoolResponse }) => void) | null = null;
  onerror: ((event: { preventDefault(): void; message: string }) => void) | null = null;
  terminated = false;
  readonly heard: (PoolRequest | { role: string })[] = [];

  constructor(
    readonly url: string,
    readonly options: WorkerOptions,
  ) {
    FakeWorker.all.push(this);
  }
  postMessage(message: PoolRequest | { role: string }) {
    this.heard.push(message);
  }
  terminate() {
    this.terminated = true;
  }
  say(response: PoolResponse) {
    this.onmessage?.({ data: response });
  }
}

const failed = vi.fn();
let pool: PoolWorkers;

beforeEach(() => {
  FakeWorker.all = [];
  failed.mockReset();
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("location", { origin: "http://localhost" });
  pool = new PoolWorkers("http://localhost/w.js", failed);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
const module = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
const start = (...invitations: number[]) =>
  pool.start({ role: "pool", artifact: "threads", module, memory }, invitations);
const tick = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("pool workers", () => {
  test("join when all are ready, each by its own invitation", async () => {
    const starting = start(1001, 1002);
    const [one, two] = FakeWorker.all as [FakeWorker, FakeWorker];
    expect([one, two].map(({ options }) => options.name)).toEqual(["chord-cpu-1", "chord-cpu-2"]);
    one.say({ type: "ready" });
    await tick();
    expect(one.heard).toEqual([expect.objectContaining({ role: "pool", module, memory })]);
    two.say({ type: "ready" });
    await starting;
    expect([one.heard[1], two.heard[1]]).toEqual([{ invitation: 1001 }, { invitation: 1002 }]);
  });

  test.each([
    ["says so", (worker: FakeWorker) => worker.say({ type: "failed", reason: "no memory" }), "no memory"],
    ["breaks", (worker: FakeWorker) => worker.onerror?.({ preventDefault() {}, message: "syntax" }), "syntax"],
  ])("end together, unasked, where one that cannot start %s", async (_how, fail, reason) => {
    const starting = start(1, 2);
    const [one, two] = FakeWorker.all as [FakeWorker, FakeWorker];
    one.say({ type: "ready" });
    fail(two);
    await expect(starting).rejects.toThrow(reason);
    expect([one.terminated, two.terminated]).toEqual([true, true]);
    expect(one.heard).toHaveLength(1);
    expect(failed).not.toHaveBeenCalled();
  });

  test("that do not start in time are given up", async () => {
    vi.useFakeTimers();
    const starting = start(1);
    const given = expect(starting).rejects.toThrow("within 20 s");
    await vi.advanceTimersByTimeAsync(20_000);
    await given;
    expect(FakeWorker.all[0]!.terminated).toBe(true);
  });

  test("tell of a panic, and of their end, once they run", async () => {
    const starting = start(1);
    const [worker] = FakeWorker.all as [FakeWorker];
    worker.say({ type: "ready" });
    await starting;
    worker.say({ type: "panic", message: "index out of bounds" });
    expect(failed).toHaveBeenLastCalledWith(
      expect.objectContaining({ code: "internal", message: expect.stringContaining("index out of bounds") }),
    );
    worker.onerror?.({ preventDefault() {}, message: "unreachable" });
    expect(failed).toHaveBeenLastCalledWith(expect.objectContaining({ code: "worker-failed" }));
  });

  test("are replaced by a new start, and end at the end", async () => {
    void start(1);
    FakeWorker.all[0]!.say({ type: "ready" });
    await tick();
    void start(2).catch(() => undefined);
    expect(FakeWorker.all.map(({ terminated }) => terminated)).toEqual([true, false]);
    pool.end();
    expect(FakeWorker.all[1]!.terminated).toBe(true);
  });
});
