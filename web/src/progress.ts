/** Progress of a load: stages and numbers only increase, with at most ten reports a second. */

import type { LoadProgress as EngineLoadProgress } from "./engine-types.js";

/** Stages of a load, in order. A stage may be skipped. */
export const LOAD_STAGES = ["header", "compile", "download", "upload", "ready"] as const;

/**
 * What the load is doing: reading the header, compiling kernels for the device, filling the device from the network
 * (`download`), or from the store or a local file (`upload`). While bytes come over the network the stage is
 * `download`, even before the device receives them.
 */
export type LoadStage = (typeof LOAD_STAGES)[number];

/** One report. */
export interface LoadProgress {
  stage: LoadStage;
  /** Bytes of the model that have arrived. */
  loaded: number;
  /** Bytes of the model; 0 while unknown. */
  total: number;
  /** The whole load, 0 to 1. */
  progress: number;
  /** A text to show, in English. */
  text: string;
  /** No byte of the model has come over the network so far. */
  fromCache: boolean;
  /** Over the last seconds; 0 while unknown. */
  bytesPerSecond: number;
  /** Milliseconds until all bytes have arrived, if known. */
  etaMs: number | null;
}

/** Time between byte reports; it leaves room for the five stages within any second. */
const INTERVAL_MS = 200;
/** The speed is measured over this time. */
const SPEED_WINDOW_MS = 4_000;
/** Share of `progress` for the bytes; the rest is for what follows the last byte. */
const BYTES_SHARE = 0.98;

/** Turns the events of a load into reports. */
export class ProgressMeter {
  private stage: LoadStage = "header";
  private loaded = 0;
  private total = 0;
  private fromCache = true;
  private networkDone = false;
  /** The engine receives weights. */
  private filling = false;
  private progress = 0;
  private lastReport = -Infinity;
  /** Times and bytes of the last seconds. */
  private readonly samples: { time: number; loaded: number }[] = [];

  constructor(
    private readonly report: (progress: LoadProgress) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The length of the file is known. */
  opened(total: number, fromCache: boolean): void {
    this.total = total;
    this.fromCache = fromCache;
    this.emit(true);
  }

  /** Bytes have arrived, some of them perhaps over the network. */
  arrived(loaded: number, networkBytes: number, networkDone: boolean): void {
    this.loaded = Math.max(this.loaded, Math.min(loaded, this.total));
    this.fromCache &&= networkBytes === 0;
    this.networkDone = networkDone;
    this.sample();
    const isDownloading = networkBytes > 0 && !networkDone;
    this.emit((isDownloading && this.advance("download")) || (this.filling && this.advance(this.fillStage())));
  }

  /** The engine has reached a stage. */
  engine(stage: EngineLoadProgress["stage"]): void {
    switch (stage) {
      case "header":
        return;
      case "prepare":
        return this.emit(this.advance("compile"));
      case "weights":
        this.filling = true;
        return this.emit(this.advance(this.fillStage()));
      case "ready":
        // The store may still be at work: `ready()` is called when all is done.
        return;
    }
  }

  /** The model can be used. */
  ready(): void {
    this.loaded = this.total;
    this.emit(this.advance("ready"));
  }

  private fillStage(): LoadStage {
    return this.fromCache || this.networkDone ? "upload" : "download";
  }

  private advance(stage: LoadStage): boolean {
    if (LOAD_STAGES.indexOf(stage) <= LOAD_STAGES.indexOf(this.stage)) return false;
    this.stage = stage;
    return true;
  }

  private sample(): void {
    const time = this.now();
    this.samples.push({ time, loaded: this.loaded });
    while (this.samples.length > 2 && time - this.samples[0]!.time > SPEED_WINDOW_MS) this.samples.shift();
  }

  private bytesPerSecond(): number {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.time - first.time < 50) return 0;
    return ((last.loaded - first.loaded) * 1000) / (last.time - first.time);
  }

  private emit(stageChanged: boolean): void {
    const time = this.now();
    if (!stageChanged && time - this.lastReport < INTERVAL_MS) return;
    this.lastReport = time;
    const { stage, loaded, total, fromCache } = this;
    const bytesPerSecond = Math.round(this.bytesPerSecond());
    const left = total - loaded;
    const etaMs =
      total === 0 || (left > 0 && bytesPerSecond === 0) ? null : left === 0 ? 0 : (left / bytesPerSecond) * 1000;
    this.progress = Math.max(this.progress, overall(stage, loaded, total));
    const isWaiting = stage === "download" && this.networkDone && !this.filling;
    const text = describe(isWaiting ? "compile" : stage, loaded, total, bytesPerSecond);
    this.report({ stage, loaded, total, progress: this.progress, text, fromCache, bytesPerSecond, etaMs });
  }
}

function overall(stage: LoadStage, loaded: number, total: number): number {
  if (stage === "ready") return 1;
  return total === 0 ? 0 : (loaded / total) * BYTES_SHARE;
}

function describe(stage: LoadStage, loaded: number, total: number, bytesPerSecond: number): string {
  const bytes = `${megabytes(loaded)} of ${megabytes(total)} MB`;
  const speed = bytesPerSecond > 0 ? `, ${megabytes(bytesPerSecond)} MB/s` : "";
  switch (stage) {
    case "header":
      return "Reading the model's header";
    case "download":
      return `Downloading: ${bytes}${speed}`;
    case "upload":
      return `Loading: ${bytes}${speed}`;
    case "compile":
      return "Compiling kernels";
    case "ready":
      return "Ready";
  }
}

function megabytes(bytes: number): string {
  const value = bytes / 1e6;
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}
