/** Pauses and resumes a load. */

/**
 * Given to `Chord.load` as `control`. A paused load keeps what it has and closes its connections; what is stored
 * already continues to be read. Cancel by the load's `signal`.
 */
export class LoadControl {
  private isPaused = false;
  private readonly listeners = new Set<(paused: boolean) => void>();

  get paused(): boolean {
    return this.isPaused;
  }

  /** Stops downloading. */
  pause(): void {
    this.set(true);
  }

  /** Continues where the download stopped. */
  resume(): void {
    this.set(false);
  }

  /** Calls `listener` at each change until the returned function is called. */
  subscribe(listener: (paused: boolean) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private set(paused: boolean): void {
    if (paused === this.isPaused) return;
    this.isPaused = paused;
    for (const listener of this.listeners) listener(paused);
  }
}
