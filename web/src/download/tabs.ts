/** One tab downloads a model; others that load it meanwhile read what it has stored, and take over when it ends. */

/** What the writing tab tells the others of a model. */
export type TabMessage =
  /** A reader has come: the writer answers with `state`. */
  | { type: "hello" }
  /** The model's manifest is in the store, under this id; `bytes` of the file have arrived. */
  | { type: "state"; id: string; bytes: number }
  | { type: "recorded"; id: string; index: number; hash: string };

/** Ends a hold on a lock, which ends with its tab, too. */
export type Release = () => void;

/** A tab's connection to others that use the same model, and the right to write the model. */
export class ModelTabs {
  private readonly channel: BroadcastChannel;
  private readonly abort = new AbortController();
  private readonly name: string;
  private release: Release | undefined;
  /** This tab's place in the queue of those that want to write. */
  private queued: Promise<boolean> | undefined;
  onMessage: ((message: TabMessage) => void) | undefined;

  constructor(
    key: string,
    private readonly locks: LockManager | undefined = globalThis.navigator?.locks,
  ) {
    this.name = `wasm-chord:${key}`;
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = ({ data }: MessageEvent<TabMessage>) => this.onMessage?.(data);
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

  /** Becomes the writer once there is no other. False when {@link close} came first. */
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
    // Without locks there are no other tabs that could be told of, either.
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
