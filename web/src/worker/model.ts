/** The loaded model: which backend it runs on, and how it falls back to the next one when that fails. */

import { type ArtifactChoice, chooseArtifact, detectFeatures, type WasmFeatures, wideArtifact } from "../artifacts.js";
import type { EngineInfo, LoadProgress as EngineLoadProgress } from "../engine-types.js";
import { ChordError, toErrorRecord } from "../errors.js";
import type { LoadParams, StoreReport, WorkerInfo, WorkerLoadTimes } from "../protocol.js";
import type { IoClient } from "./io-client.js";
import { fallbackOrder, isReasonToStepDown, type RunnableBackend } from "./fallback.js";
import { macrotaskYielder } from "./macrotask.js";
import type { Bindings, Modules, StartedModule } from "./modules.js";
import { cpuKey, forgetTests, passedTests, rememberTest } from "../self-tests.js";
import { Stop } from "./stop.js";
import type { PoolHost } from "./thread-pool.js";
import { type AdapterFacts, adapterFacts } from "./webgpu.js";

type WasmEngine = Awaited<ReturnType<Bindings["WasmEngine"]["load"]>>;
type CancelToken = InstanceType<Bindings["CancelToken"]>;

/** Running work on a lost device may fail this long before the device is known to be lost. */
export const LOSS_MS = 100;

/** The model where it runs at present. */
interface Running {
  backend: RunnableBackend;
  engine: WasmEngine;
  started: StartedModule;
  threads: number;
}

/** The options of a load, and what it found. */
interface Plan extends LoadParams {
  size: bigint;
  adapter: AdapterFacts;
  features: WasmFeatures;
  modules: Modules;
}

/** Called at each stage of a load. */
type OnStage = (stage: EngineLoadProgress["stage"]) => void;

export class Model {
  private plan: Plan | undefined;
  private running: Running | undefined;
  /** Why the model runs where it does: each decision with its reason. */
  private why: string[] = [];
  /** The device is lost, and nothing has been done about it yet. */
  private lost: string | undefined;
  private steppingDown: Promise<void> | undefined;

  constructor(
    private readonly io: IoClient,
    private readonly modules: (urls: LoadParams["wasmUrls"]) => Modules,
    private readonly pool: PoolHost,
  ) {}

  /** Loads on the first backend that works. `onOpened` is called before, with the file. */
  async load(
    params: LoadParams,
    stop: Stop,
    onOpened: (file: { size: bigint; fromCache: boolean }) => void,
    onStage: OnStage,
  ): Promise<{ store: StoreReport; times: WorkerLoadTimes }> {
    const modules = this.modules(params.wasmUrls);
    const features = await detectFeatures();
    const { artifact } = chooseArtifact(features, modules.offered);
    const [file, adapter] = await Promise.all([
      this.io.open(),
      adapterFacts(params.options.backend !== "cpu"),
      modules.start(artifact),
    ]);
    const opened = performance.now();
    onOpened(file);
    const plan = (this.plan = { ...params, size: file.size, adapter, features, modules });
    const { backends, why } = fallbackOrder(params.options.backend ?? "auto", adapter, params.softwareGpu);
    this.why = why;
    for (const [index, backend] of backends.entries()) {
      try {
        this.running = await this.start(plan, backend, stop, onStage);
        break;
      } catch (error) {
        const record = toErrorRecord(error);
        if (index + 1 === backends.length || !isReasonToStepDown(record)) throw error;
        this.lost = undefined;
        this.why.push(`not on the GPU: ${record.message}`);
      }
    }
    const computed = performance.now();
    const { report: store, times: io } = await this.io.finish();
    const kept = performance.now();
    // A fallback reads the file again, and so does paging.
    if (!this.canStepDown && this.info().engine.paging.paged_layers === 0) await this.io.close();
    return { store, times: { sinceOpenMs: kept - opened, keepMs: kept - computed, io } };
  }

  /**
   * Runs work on the engine, and runs it again on the next backend if the device is lost meanwhile.
   *
   * @param work called with the current backend's engine; it must remember what an earlier call has done
   */
  async run<T>(stop: Stop, work: (engine: WasmEngine, token: CancelToken) => Promise<T>): Promise<T> {
    for (;;) {
      const { engine, started } = this.loaded();
      try {
        return await stop.during(started.bindings, (token) => work(engine, token));
      } catch (error) {
        if (!(await this.recovered(error))) throw error;
      }
    }
  }

  /** The engine, for calls that it answers at once. */
  get engine(): WasmEngine {
    return this.loaded().engine;
  }

  info(): WorkerInfo {
    const { engine, started, threads, backend } = this.loaded();
    const info: EngineInfo = engine.info();
    const device = backend === "gpu" ? info.device || (this.plan?.adapter.name ?? "") : info.device;
    return {
      engine: { ...info, device, why: this.why },
      artifact: started.artifact,
      threads,
      wasmHeapBytes: started.memory.buffer.byteLength,
    };
  }

  /** Records the loss of the device. False if there is no fallback, because the GPU was explicitly requested. */
  noteLoss(reason: string): boolean {
    // This worker ends in that case, and the page forgets the self-tests.
    if (this.plan?.options.backend === "gpu") return false;
    void forgetTests();
    if (this.running?.backend !== "cpu") this.lost = reason;
    return true;
  }

  /** A loaded model's device is lost, and the call that ran on it has not ended. A load notices by itself. */
  get isStuck(): boolean {
    return this.running !== undefined && this.lost !== undefined;
  }

  /** Continues on the CPU after a loss; does nothing if there was none. */
  stepDown(): Promise<void> {
    this.steppingDown ??= this.goDown().finally(() => {
      this.steppingDown = undefined;
    });
    return this.steppingDown;
  }

  free(): void {
    this.running?.engine.free();
    this.running = undefined;
  }

  private get canStepDown(): boolean {
    return this.plan?.options.backend === "auto" && this.running?.backend === "gpu";
  }

  private loaded(): Running {
    if (!this.running) throw new ChordError("internal", "no model is loaded");
    return this.running;
  }

  private async recovered(error: unknown): Promise<boolean> {
    if (!this.canStepDown) return false;
    if (this.lost === undefined && isReasonToStepDown(toErrorRecord(error))) {
      await new Promise((resolve) => setTimeout(resolve, LOSS_MS));
    }
    if (this.lost === undefined) return false;
    await this.stepDown();
    return true;
  }

  private async goDown(): Promise<void> {
    const { plan, running, lost } = this;
    if (!plan || !running || running.backend === "cpu" || lost === undefined) return;
    this.lost = undefined;
    this.free();
    this.why.push(`the GPU was lost (${lost})`);
    try {
      this.running = await this.start(plan, "cpu", new Stop(), () => undefined);
      await this.io.close();
    } catch (cause) {
      const { message } = toErrorRecord(cause);
      throw new ChordError("device-lost", `The GPU was lost (${lost}), and the CPU cannot continue: ${message}`, {
        reason: lost,
      });
    }
  }

  /** Starts a backend, with the artifact that this browser and this model need. */
  private async start(plan: Plan, backend: RunnableBackend, stop: Stop, onStage: OnStage): Promise<Running> {
    const { features, modules } = plan;
    if (backend === "cpu" && plan.memory64) return this.startWide(plan, {}, stop, onStage);
    try {
      return await this.startWith(chooseArtifact(features, modules.offered), plan, backend, stop, onStage);
    } catch (error) {
      // Only the header shows what a model needs, and only the engine reads headers.
      const { code, details = {} } = toErrorRecord(error);
      if (backend === "gpu" || code !== "needs-memory64") throw error;
      return this.startWide(plan, details, stop, onStage);
    }
  }

  /** Starts the 64-bit engine; `details` are those of the error with which the 32-bit one refused. */
  private async startWide(
    plan: Plan,
    details: Record<string, unknown>,
    stop: Stop,
    onStage: OnStage,
  ): Promise<Running> {
    const choice = wideArtifact(plan.features, plan.modules.offered);
    if ("lacking" in choice) throw needsMemory64(details, choice.lacking);
    return this.startWith(choice, plan, "cpu", stop, onStage);
  }

  private async startWith(
    choice: ArtifactChoice,
    plan: Plan,
    backend: RunnableBackend,
    stop: Stop,
    onStage: OnStage,
  ): Promise<Running> {
    const started = await plan.modules.start(choice.artifact);
    const { bindings } = started;
    const isAuto = plan.options.backend === "auto";
    const { pool, threads, why } =
      backend === "cpu"
        ? await this.threads(choice, plan.threads, started)
        : { pool: new bindings.ThreadPool(1), threads: 1, why: "" };
    const host = {
      read: (offset: bigint, length: number) => this.io.read(offset, length),
      pause: macrotaskYielder(),
    };
    const { key, subgroups } = plan.adapter;
    const device = backend === "gpu" ? key : await cpuKey(started.artifact);
    const known = device !== undefined ? await passedTests(device) : [];
    const asked = { ...plan.options, backend, web_subgroups: subgroups, passed_tests: known };
    const onProgress = ({ stage }: EngineLoadProgress) => {
      if (stage === "prepare") this.io.noteHeader();
      onStage(stage);
    };
    const engine = await stop.during(bindings, (token) =>
      bindings.WasmEngine.load(host, plan.size, asked, onProgress, token, pool),
    );
    const { why: reasons, self_test: passed } = engine.info() as EngineInfo;
    if (device !== undefined && passed !== null && !known.includes(passed)) void rememberTest(device, passed);
    if (backend === "cpu") this.why.push(why);
    else if (isAuto) this.why.push(describeGpu(plan));
    // The first of the engine's reasons is that the backend was requested, which means nothing here.
    this.why.push(...reasons.slice(1));
    return { backend, engine, started, threads };
  }

  /** A pool of as many threads as possible; `why` says in words how many, and the reason. */
  private async threads(choice: ArtifactChoice, threads: number, started: StartedModule) {
    const one = (reason: string) => ({
      pool: new started.bindings.ThreadPool(1),
      threads: 1,
      why: `the CPU runs everything on one thread: ${reason}`,
    });
    if (threads === 1) return one("no more were requested");
    if (choice.oneThread !== undefined) return one(choice.oneThread);
    if (started.artifact === "baseline") return one("the browser grants no shared memory");
    try {
      const pool = await this.pool.start(started, threads);
      return { pool, threads, why: `the CPU runs everything on ${threads} threads` };
    } catch (error) {
      return one(`its workers could not be started (${toErrorRecord(error).message})`);
    }
  }
}

/** The engine's error of this code with what this browser lacks, which the engine does not know. */
function needsMemory64(details: Record<string, unknown>, lacking: string): ChordError {
  const { needed, limit } = details as { needed?: number | bigint; limit?: number | bigint };
  const bytes =
    needed === undefined
      ? ""
      : `The model needs ${needed} bytes of memory on the CPU, 32-bit WebAssembly can use ${limit}. `;
  const next = "Use another browser, a smaller quantization or a shorter context.";
  const message = `${bytes}The 64-bit engine cannot run here: ${lacking}. ${next}`;
  return new ChordError("needs-memory64", message, { ...details, lacking });
}

function describeGpu({ adapter, options }: Plan): string {
  const kind = adapter.isSoftware ? "the GPU, computed in software, counts as real" : "the GPU is real";
  return options.self_test === false ? kind : `${kind} and computes as the CPU does`;
}
