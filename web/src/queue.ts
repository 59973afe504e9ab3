import { abortError } from "./errors.js";

/** Runs tasks one after the other. A task whose signal is aborted while it waits is never run. */
export class TaskQueue {
  private tail: Promise<unknown> = Promise.resolve();

  /**
   * Appends a task. The returned promise rejects at once when the signal is aborted; the place in the queue is kept
   * until the task itself has ended.
   */
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(abortError(signal));
    const { promise, resolve, reject } = withResolvers<T>();
    const onAbort = () => reject(abortError(signal));
    signal?.addEventListener("abort", onAbort, { once: true });
    this.tail = this.tail
      .then(() => {
        if (!signal?.aborted) return task().then(resolve, reject);
      })
      .catch(reject)
      .finally(() => signal?.removeEventListener("abort", onAbort));
    return promise;
  }
}

/** `Promise.withResolvers`, which not every supported browser has. */
export function withResolvers<T>(): {
  promise: Promise<T>;
  resolve: (value: T | PromiseLike<T>) => void;
  reject: (reason: unknown) => void;
} {
  let resolve!: (value: T | PromiseLike<T>) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
