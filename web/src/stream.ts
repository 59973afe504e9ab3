import { withResolvers } from "./queue.js";

/**
 * Chunks of a streamed answer. Iterate it once; leaving the loop early, or {@link cancel}, stops the generation.
 */
export class ChordStream<T> implements AsyncIterable<T>, AsyncIterator<T, undefined> {
  private readonly waiting: T[] = [];
  private readonly readers: ReturnType<typeof withResolvers<IteratorResult<T, undefined>>>[] = [];
  private ended: { error?: unknown } | undefined;

  /** @internal */
  constructor(private readonly stop: () => void) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const value = this.waiting.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.ended) {
      const { error } = this.ended;
      this.ended = {};
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    const reader = withResolvers<IteratorResult<T, undefined>>();
    this.readers.push(reader);
    return reader.promise;
  }

  /** Called by the language when a `for await` is left early. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.cancel();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Stops the generation; the iteration ends without an error. */
  cancel(): void {
    if (this.ended) return;
    this.waiting.length = 0;
    this.end();
    this.stop();
  }

  /** @internal */
  push(value: T): void {
    if (this.ended) return;
    const reader = this.readers.shift();
    if (reader) reader.resolve({ done: false, value });
    else this.waiting.push(value);
  }

  /** @internal */
  end(): void {
    if (this.ended) return;
    this.ended = {};
    for (const reader of this.readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  /** @internal */
  fail(error: unknown): void {
    if (this.ended) return;
    const reader = this.readers.shift();
    if (reader) {
      reader.reject(error);
      this.end();
    } else {
      this.ended = { error };
    }
  }
}
