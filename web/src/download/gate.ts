/** Holds a download back while it is paused. */
export class Gate {
  private waiting: (() => void)[] = [];
  private readonly listeners = new Set<() => void>();
  private isShut = false;

  get shut(): boolean {
    return this.isShut;
  }

  set(shut: boolean): void {
    if (shut === this.isShut) return;
    this.isShut = shut;
    if (!shut) {
      const waiting = this.waiting;
      this.waiting = [];
      for (const go of waiting) go();
    }
    for (const listener of this.listeners) listener();
  }

  /** Resolves when the gate is open. */
  async opened(): Promise<void> {
    while (this.isShut) await new Promise<void>((go) => this.waiting.push(go));
  }

  /** Calls `listener` at each change until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
