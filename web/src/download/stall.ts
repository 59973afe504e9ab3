import { ChordError } from "../errors.js";
import { STALL_MS } from "../source/http.js";
import type { Gate } from "./gate.js";

/** How many times the watch looks within the time that it allows. */
const LOOKS = 8;
/** A connection has its own limit, after which a new one is made; the watch allows this many times its own time. */
const NETWORK_PATIENCE = 3;

/**
 * Prevents endless waiting: waiting calls reject if nothing is in progress and nothing has arrived for a time, whatever
 * the cause. Connections and pauses between attempts count as progress; a paused download is exempt.
 */
export class StallWatch {
  /** Looks in a row at which nothing had happened. */
  private idle = 0;
  private connections = 0;
  private pauses = 0;
  private readonly waiting = new Set<(error: Error) => void>();
  private timer: ReturnType<typeof setInterval> | undefined;
  /** Called at each check, as long as calls wait. */
  onLook: (() => void) | undefined;

  constructor(
    /** For messages. */
    private readonly url: string,
    private readonly gate: Gate,
    private readonly ms: number = STALL_MS,
  ) {}

  /** Something has come, or was done. */
  alive(): void {
    this.idle = 0;
  }

  /** Runs the work of a connection. */
  async connected<T>(work: () => Promise<T>): Promise<T> {
    this.connections++;
    try {
      return await work();
    } finally {
      this.connections--;
      this.alive();
    }
  }

  /** Waits before another attempt. */
  async pause(ms: number): Promise<void> {
    this.pauses++;
    await new Promise((later) => setTimeout(later, ms));
    this.pauses--;
    this.alive();
  }

  /** Waits for `work`, and rejects with `load-stalled` if it stalls. */
  async during<T>(work: Promise<T>): Promise<T> {
    if (this.waiting.size === 0) this.alive();
    let stalled!: (error: Error) => void;
    const stall = new Promise<never>((_, reject) => (stalled = reject));
    this.waiting.add(stalled);
    this.timer ??= setInterval(() => this.look(), this.ms / LOOKS);
    try {
      return await Promise.race([work, stall]);
    } finally {
      this.waiting.delete(stalled);
      if (this.waiting.size === 0) {
        clearInterval(this.timer);
        this.timer = undefined;
      }
    }
  }

  /** Counts looks and not milliseconds: a computer that slept has not waited. */
  private look(): void {
    this.onLook?.();
    if (this.gate.shut || this.pauses > 0) return this.alive();
    this.idle++;
    const allowed = this.connections > 0 ? LOOKS * NETWORK_PATIENCE : LOOKS;
    if (this.idle <= allowed) return;
    const seconds = this.ms / 1000;
    const message = `Nothing of ${this.url} arrived for ${seconds} s, and nothing is in progress. Load again to continue.`;
    const error = new ChordError("load-stalled", message, { url: this.url, seconds });
    for (const stalled of this.waiting) stalled(error);
    this.alive();
  }
}
