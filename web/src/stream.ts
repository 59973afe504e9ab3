import { withResolvers } from "./queue.js";

/**
 * Chunks of a streamed answer. Iterate it once; leaving the loop early, or {@link ChordStream.cancel}, stops the
 * generation.
 */
export interface ChordStream<T> extends AsyncIterable<T> {
  [Symbol.asyncIterator](): this;
  next(): Promise<IteratorResult<T, undefined>>;
  /** Called by JavaScript when a `for await` loop is left early. */
  return(): Promise<IteratorResult<T, undefined>>;
  /** Stops the generation; the iteration ends without an error. */
  cancel(): void;
}

/** A stream, and the side of it that the engine writes to. */
export class AnswerStream<T> implements ChordStream<T> {
  private readonly waiting: T[] = [];
  private readonly readers: ReturnType<typeof withResolvers<IteratorResult<T, undefined>>>[] = [];
  private ended: { error?: unknown } | undefined;

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

  return(): Promise<IteratorResult<T, undefined>> {
    this.cancel();
    return Promise.resolve({ done: true, value: undefined });
  }

  cancel(): void {
    if (this.ended) return;
    this.waiting.length = 0;
    this.end();
    this.stop();
  }

  push(value: T): void {
    if (this.ended) return;
    const reader = this.readers.shift();
    if (reader) reader.resolve({ done: false, value });
    else this.waiting.push(value);
  }

  end(): void {
    if (this.ended) return;
    this.ended = {};
    for (const reader of this.readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }

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
