/** One tab downloads a model; other tabs that load it read its stored chunks, and take over when it ends. */

import type { Release } from "../store/locks.js";
import type { StallWatch } from "./stall.js";

/** What the writing tab reports about a model. */
export type TabMessage =
  /** Asks what is being written: the writer answers with `state`. */
  | { type: "hello" }
  /** The model's manifest is in the store, under this id; `bytes` of the file have arrived. */
  | { type: "state"; id: string; bytes: number }
  | { type: "recorded"; id: string; index: number; hash: string };

/** Least time between reports of bytes to other tabs. */
const STATE_MS = 200;

/** A tab's connection to others that use the same model, and the right to write the model. */
export class ModelTabs {
  private readonly channel: BroadcastChannel;
  private readonly abort = new AbortController();
  private readonly name: string;
  private release: Release | undefined;
  /** This tab's place in the queue of tabs that want to write. */
  private queued: Promise<boolean> | undefined;
  /** What this tab writes, for tabs that ask. Without an id it is still examining the file. */
  state = { id: "", bytes: 0 };
  private toldAt = 0;
  /** Receives every message except `hello`, which is answered here while this tab writes. */
  onMessage: ((message: TabMessage) => void) | undefined;

  constructor(
    key: string,
    private readonly locks: LockManager | undefined = globalThis.navigator?.locks,
  ) {
    this.name = `wasm-chord:${key}`;
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      if (data.type !== "hello") this.onMessage?.(data);
      else if (this.writing) this.tell();
    };
  }

  /** This tab may write. */
  get writing(): boolean {
    return this.release !== undefined;
  }

  /** Becomes the writer if there is none. */
  async tryWrite(): Promise<boolean> {
    this.release ??= await this.request({ ifAvailable: true });
    return this.writing;
  }

  /** Becomes the writer once there is no other. False if {@link close} was called first. */
  waitToWrite(): Promise<boolean> {
    if (this.writing) return Promise.resolve(true);
    this.queued ??= this.request({ signal: this.abort.signal })
      .then(
        (release) => {
          this.release = release;
          if (this.abort.signal.aborted) this.endWriting();
          return this.writing;
        },
        (error: unknown) => {
          if (this.abort.signal.aborted) return false;
          throw error;
        },
      )
      .finally(() => (this.queued = undefined));
    return this.queued;
  }

  /** Lets another tab write. */
  endWriting(): void {
    this.release?.();
    this.release = undefined;
  }

  /** Tells the others what this tab writes, and that it is alive. */
  tell(): void {
    this.post({ type: "state", ...this.state });
  }

  /** Tells the others how much of the file has come, a few times a second while this tab writes. */
  progress(bytes: number): void {
    this.state.bytes = bytes;
    const now = performance.now();
    if (!this.writing || now - this.toldAt < STATE_MS) return;
    this.toldAt = now;
    this.tell();
  }

  post(message: TabMessage): void {
    if (!this.abort.signal.aborted) this.channel.postMessage(message);
  }

  close(): void {
    this.abort.abort();
    this.endWriting();
    this.channel.close();
  }

  private request(options: LockOptions): Promise<Release | undefined> {
    const { locks } = this;
    // Every supported browser that stores models has locks; without them this tab may always write.
    if (!locks) return Promise.resolve(() => undefined);
    return new Promise((resolve, reject) => {
      const held = (lock: Lock | null) => {
        if (lock === null) return resolve(undefined);
        return new Promise<void>((release) => resolve(release));
      };
      locks.request(this.name, options, held).catch(reject);
    });
  }
}

/** Asks the writing tab until `read` finds what it reports; `undefined` if this tab has become the writer. */
export async function untilWriting<T>(
  tabs: ModelTabs,
  watch: StallWatch | undefined,
  read: (id: string) => Promise<T | undefined>,
): Promise<T | undefined> {
  const states: string[] = [];
  let wake: () => void = () => undefined;
  tabs.onMessage = (message) => {
    if (message.type === "state") states.push(message.id);
    watch?.alive();
    wake();
  };
  const ask = () => tabs.post({ type: "hello" });
  // As long as the other tab answers, it is at work.
  if (watch) watch.onLook = ask;
  let failure: Error | undefined;
  tabs.waitToWrite().then(
    () => wake(),
    (error: Error) => {
      failure = error;
      wake();
    },
  );
  ask();
  try {
    for (;;) {
      if (tabs.writing) return undefined;
      if (failure) throw failure;
      const id = states.pop();
      const found = id === undefined ? undefined : await read(id);
      if (found !== undefined) return found;
      if (states.length === 0 && !tabs.writing && !failure) await new Promise<void>((go) => (wake = go));
    }
  } finally {
    if (watch?.onLook === ask) watch.onLook = undefined;
  }
}
