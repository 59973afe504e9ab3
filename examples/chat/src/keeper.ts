/**
 * Keeps the conversation that is on the page: at every sentence of an answer, and at least once a second while one is
 * written. One write at a time; what has changed meanwhile is written next.
 */

import { type Conversation, type ConversationStore, Overtaken } from "./conversations.js";

/** An answer without sentences is written this often. */
const longestMs = 1000;

/** The end of a sentence or of a line, as far as that can be told without knowing the language. */
const sentenceEnd = /[.!?…:;。！？]["'”’)\]*_]*\s|\n|[。！？]/;

export interface KeeperEvents {
  /** Null: all is kept. Else why not. */
  onKept(failure: unknown): void;
  /** Another tab continued or deleted the conversation; here it continues as a separate one. */
  onForked(by: Overtaken["by"]): void;
  /** The conversation has something to keep, or another id than before. */
  onChanged(conversation: Conversation): void;
}

export class Keeper {
  readonly #store: ConversationStore;
  readonly #events: KeeperEvents;
  #conversation: Conversation | null = null;
  /** The first turn that may differ from what is stored. */
  #changedFrom = Infinity;
  #writing: Promise<void> | null = null;
  #writtenAt = 0;
  /** Characters of the last turn that were looked at for an end of a sentence. */
  #seen = 0;

  constructor(store: ConversationStore, events: KeeperEvents) {
    this.#store = store;
    this.#events = events;
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") void this.flush();
    });
  }

  /** Keeps this conversation from now on; what was there of another one is written first. */
  async take(conversation: Conversation): Promise<void> {
    if (this.#conversation === conversation) return;
    await this.flush();
    this.#conversation = conversation;
    this.#changedFrom = Infinity;
  }

  /** The conversation, if something of it may not be stored yet. */
  get unsaved(): Conversation | null {
    return this.#writing || this.#changedFrom !== Infinity ? this.#conversation : null;
  }

  /** Stops keeping the conversation on the page. */
  drop(): void {
    this.#conversation = null;
    this.#changedFrom = Infinity;
  }

  /** The turns from this one on have changed, and are complete. */
  changed(from: number): void {
    this.#changedFrom = Math.min(this.#changedFrom, from);
    this.#seen = 0;
    if (this.#conversation) this.#events.onChanged(this.#conversation);
    void this.flush();
  }

  /** The last turn has grown. */
  grew(): void {
    const turns = this.#conversation?.turns ?? [];
    const text = turns.at(-1)?.text ?? "";
    this.#changedFrom = Math.min(this.#changedFrom, turns.length - 1);
    // The white space behind a full stop may come later than the stop.
    const ended = sentenceEnd.test(text.slice(Math.max(0, this.#seen - 2)));
    this.#seen = text.length;
    if (ended || performance.now() - this.#writtenAt > longestMs) void this.flush();
  }

  /** Resolves when everything that has changed by now is stored, or could not be. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing;
    if (this.#changedFrom === Infinity) return;
    this.#writing = this.#write().finally(() => (this.#writing = null));
    await this.#writing;
  }

  async #write(): Promise<void> {
    const conversation = this.#conversation;
    const from = this.#changedFrom;
    if (!conversation || from === Infinity) return;
    this.#changedFrom = Infinity;
    this.#writtenAt = performance.now();
    conversation.updatedAt = Date.now();
    try {
      await this.#store.write(conversation, conversation.revision === 0 ? 0 : from);
      this.#events.onKept(null);
    } catch (error) {
      if (this.#conversation === conversation) this.#changedFrom = Math.min(this.#changedFrom, from);
      if (!(error instanceof Overtaken)) return this.#events.onKept(error);
      // Another tab has changed it: this version is kept as a separate conversation.
      conversation.id = crypto.randomUUID();
      conversation.revision = 0;
      this.#changedFrom = 0;
      this.#events.onForked(error.by);
      this.#events.onChanged(conversation);
      await this.#write();
    }
  }
}
