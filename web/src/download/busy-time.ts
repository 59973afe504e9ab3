/** How long work was in progress; overlapping work counts once. */
export class BusyTime {
  private running = 0;
  private since = 0;
  private done = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Milliseconds so far. */
  get ms(): number {
    return this.done + (this.running > 0 ? this.now() - this.since : 0);
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    if (this.running++ === 0) this.since = this.now();
    try {
      return await work();
    } finally {
      if (--this.running === 0) this.done += this.now() - this.since;
    }
  }
}
