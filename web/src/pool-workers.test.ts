import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PoolWorkers } from "./pool-workers.js";
import type { PoolResponse, WorkerStart } from "./protocol.js";

/** A pool worker, played by hand. */
class FakeWorker {
  static all: FakeWorker[] = [];
  onmessage: ((event: { data: PoolResponse }) => void) | null = null;
  onerror: ((event: { preventDefault(): void; message: string }) => void) | null = null;
  terminated = false;
  readonly heard: { message: WorkerStart; transfer: Transferable[] }[] = [];

  constructor(
    readonly url: string,
    readonly options: WorkerOptions,
  ) {
    FakeWorker.all.push(this);
  }
  postMessage(message: WorkerStart, transfer: Transferable[]) {
    this.heard.push({ message, transfer });
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

const port = () => new MessageChannel().port1;
const start = (...ports: MessagePort[]) => pool.start(ports);
const tick = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("pool workers", () => {
  test("each get one of the engine's ports and nothing else, and have started when all are ready", async () => {
    const ports = [port(), port()];
    let areThere = false;
    const starting = start(...ports).then(() => (areThere = true));
    const [one, two] = FakeWorker.all as [FakeWorker, FakeWorker];
    expect([one, two].map(({ options }) => options.name)).toEqual(["chord-cpu-1", "chord-cpu-2"]);
    [one, two].forEach(({ heard }, index) => {
      const engine = ports[index]!;
      expect(heard).toEqual([{ message: { role: "pool", engine }, transfer: [engine] }]);
    });
    one.say({ type: "ready" });
    await tick();
    expect(areThere).toBe(false);
    two.say({ type: "ready" });
    await starting;
  });

  test("get module and memory from the page where ports cannot carry shared memory", async () => {
    const module = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const what = { type: "start", artifact: "threads", module, memory } as const;
    const starting = pool.start([port()], what);
    const [worker] = FakeWorker.all as [FakeWorker];
    expect(worker.heard[0]!.message).toMatchObject({ role: "pool", start: what });
    worker.say({ type: "ready" });
    await starting;
  });

  test.each([
    ["says so", (worker: FakeWorker) => worker.say({ type: "failed", reason: "no memory" }), "no memory"],
    ["breaks", (worker: FakeWorker) => worker.onerror?.({ preventDefault() {}, message: "syntax" }), "syntax"],
  ])("all end, and nothing else fails, where one cannot start and %s", async (_how, fail, reason) => {
    const starting = start(port(), port());
    const [one, two] = FakeWorker.all as [FakeWorker, FakeWorker];
    one.say({ type: "ready" });
    fail(two);
    await expect(starting).rejects.toThrow(reason);
    expect([one.terminated, two.terminated]).toEqual([true, true]);
    expect(failed).not.toHaveBeenCalled();
  });

  test("that do not start in time are given up", async () => {
    vi.useFakeTimers();
    const starting = start(port());
    const given = expect(starting).rejects.toThrow("within 20 s");
    await vi.advanceTimersByTimeAsync(20_000);
    await given;
    expect(FakeWorker.all[0]!.terminated).toBe(true);
  });

  test("report a panic, and their end, once they run", async () => {
    const starting = start(port());
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

  test("are replaced by a new start, and end with the pool", async () => {
    void start(port());
    FakeWorker.all[0]!.say({ type: "ready" });
    await tick();
    void start(port()).catch(() => undefined);
    expect(FakeWorker.all.map(({ terminated }) => terminated)).toEqual([true, false]);
    pool.end();
    expect(FakeWorker.all[1]!.terminated).toBe(true);
  });
});
