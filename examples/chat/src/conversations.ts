/**
 * The conversations that this browser keeps, in IndexedDB. Each turn is a separate record, so that an answer that is
 * being written costs one small write. What another tab has written since is never overwritten.
 */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Usage } from "@querent-ai/wasm-chord";

export interface Turn {
  role: "user" | "assistant";
  text: string;
  /** Figures of a finished answer. */
  usage?: Usage;
  /** The answer was stopped by the reader, or by its length limit. */
  ended?: "stopped" | "length";
}

/** What the list shows of a conversation. */
export interface Summary {
  id: string;
  title: string;
  /** The model that answered last. */
  model: string;
  createdAt: number;
  updatedAt: number;
  /** Number of turns. */
  length: number;
  /** Turns, from the first, that no longer fit the context and are not sent to the model. */
  unsent: number;
  /** Whether the oldest turns are left out without asking where the context is full. */
  dropsOldest: boolean;
}

export interface Conversation extends Omit<Summary, "length"> {
  turns: Turn[];
  /** Counts the writes; 0 for a conversation that was never written. */
  revision: number;
}

/** A tab wrote the conversation, or deleted it, since it was read here. */
export class Overtaken extends Error {
  constructor(readonly by: "another version" | "deletion") {
    super(`the conversation was overtaken by ${by}`);
  }
}

interface Schema extends DBSchema {
  /** `writer` is the page that wrote last, until it is left. */
  conversations: { key: string; value: Summary & { revision: number; writer: string } };
  /** Key: id of the conversation, place in it. */
  turns: { key: [string, number]; value: Turn };
}

const DATABASE = "chord-chat";
/** A commit means that the words are on the disk. */
const STRICT = { durability: "strict" } as const;

/** Notifies the other tabs that the list has changed. */
const changes = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("chord-chat");

export function newConversation(model: string): Conversation {
  const now = Date.now();
  return {
    id: crypto.randomUUID(),
    title: "",
    model,
    createdAt: now,
    updatedAt: now,
    unsent: 0,
    dropsOldest: false,
    turns: [],
    revision: 0,
  };
}

/** Every call rejects if the browser keeps nothing. */
export class ConversationStore {
  readonly #writer = crypto.randomUUID();
  #opened: Promise<IDBPDatabase<Schema>> | null = null;

  /** Newest first. */
  async list(): Promise<Summary[]> {
    const all = await (await this.#database()).getAll("conversations");
    return all.sort((a, b) => b.updatedAt - a.updatedAt);
  }

  async read(id: string): Promise<Conversation | null> {
    const tx = (await this.#database()).transaction(["conversations", "turns"]);
    const record = await tx.objectStore("conversations").get(id);
    const turns = await tx.objectStore("turns").getAll(turnsOf(id));
    if (!record) return null;
    const { length: _length, writer: _writer, ...rest } = record;
    return { ...rest, turns };
  }

  /**
   * Writes the turns from `from` on, and the rest of the record. Rejects with {@link Overtaken} where the store no
   * longer has the revision that the conversation was read with, unless it was this page that wrote since.
   */
  async write(conversation: Conversation, from: number): Promise<void> {
    const { turns, revision, ...rest } = conversation;
    const record = { ...rest, length: turns.length, writer: this.#writer };
    // Cloned before anything is waited for: an answer grows meanwhile.
    const written = structuredClone(turns.slice(from));
    const tx = (await this.#database()).transaction(["conversations", "turns"], "readwrite", STRICT);
    const done = tx.done.catch((error: unknown) => error);
    const stored = await tx.objectStore("conversations").get(conversation.id);
    if ((stored?.revision ?? 0) !== revision && stored?.writer !== this.#writer) {
      tx.abort();
      await done;
      throw new Overtaken(stored ? "another version" : "deletion");
    }
    const place = tx.objectStore("turns");
    const next = (stored?.revision ?? 0) + 1;
    void tx
      .objectStore("conversations")
      .put({ ...record, revision: next })
      .catch(() => undefined);
    for (const [index, turn] of written.entries()) {
      void place.put(turn, [conversation.id, from + index]).catch(() => undefined);
    }
    void place.delete(turnsOf(conversation.id, from + written.length)).catch(() => undefined);
    // A page that is being left has no time to wait for the writes.
    tx.commit();
    const failure = await done;
    if (failure) throw failure;
    conversation.revision = Math.max(conversation.revision, next);
    changes?.postMessage(null);
  }

  async delete(id: string): Promise<void> {
    const tx = (await this.#database()).transaction(["conversations", "turns"], "readwrite", STRICT);
    await Promise.all([
      tx.objectStore("conversations").delete(id),
      tx.objectStore("turns").delete(turnsOf(id)),
      tx.done,
    ]);
    changes?.postMessage(null);
  }

  #database(): Promise<IDBPDatabase<Schema>> {
    if (!this.#opened) {
      const forget = () => (this.#opened = null);
      this.#opened = openDB<Schema>(DATABASE, 1, {
        upgrade(database) {
          database.createObjectStore("conversations", { keyPath: "id" });
          database.createObjectStore("turns");
        },
        // A tab with a later version of the page wants to upgrade the database.
        blocking: (_current, _next, event) => {
          (event.target as IDBDatabase).close();
          forget();
        },
        terminated: forget,
      });
      this.#opened.catch(forget);
    }
    return this.#opened;
  }
}

/** Calls `listener` when another tab has changed the list. */
export function onOtherTabs(listener: () => void): void {
  changes?.addEventListener("message", listener);
}

function turnsOf(id: string, from = 0): IDBKeyRange {
  return IDBKeyRange.bound([id, from], [id, Infinity]);
}
