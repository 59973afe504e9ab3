/** Which conversation is on the page, which one waits for a model, and the sheet with all that are kept. */

import { ChatView } from "./chat-view.js";
import { ChatsView } from "./chats-view.js";
import { type Conversation, ConversationStore, newConversation, type Overtaken } from "./conversations.js";
import { announce, byId } from "./dom.js";
import { joined, leaveDraft, noteConversation, notedConversation, takeDraft } from "./draft.js";
import { Keeper } from "./keeper.js";
import { ask } from "./question.js";
import { sentence } from "./problem.js";
import type { Session } from "./session.js";

export class Chats {
  readonly #store = new ConversationStore();
  readonly #keeper = new Keeper(this.#store, {
    onKept: (failure) => this.#showKept(failure),
    onForked: (by) => this.#showForked(by),
    onChanged: noteConversation,
  });
  readonly #view = new ChatView(this.#keeper);
  readonly #restored: Promise<void>;
  #session: Session | null = null;
  /** Continues once a model is loaded. */
  #waiting: Conversation | null = null;
  #isKept = true;

  constructor() {
    new ChatsView(this.#store, {
      current: () => this.#current?.id,
      open: (id) => this.#openKept(id),
      deleted: (id) => this.#forget(id),
    });
    byId("new-chat", HTMLButtonElement).addEventListener("click", () => void this.#startNew());
    byId("resume-drop", HTMLButtonElement).addEventListener("click", () => {
      this.#setWaiting(null);
      byId("load", HTMLButtonElement).focus();
    });
    this.#restored = this.#restore();
    addEventListener("pagehide", () => leaveDraft(this.#keeper.unsaved));
  }

  /** A model is loaded: the waiting conversation continues, or an empty one begins. */
  async open(session: Session): Promise<void> {
    await this.#restored;
    this.#session = session;
    await this.#show(this.#waiting ?? newConversation(session.modelName));
  }

  /** The model goes away; its conversation waits for another one. */
  async close(): Promise<void> {
    await this.#view.leave();
    await this.#keeper.flush();
    const conversation = this.#session?.conversation ?? null;
    this.#session = null;
    this.#setWaiting(conversation?.turns.length ? conversation : null);
  }

  get #current(): Conversation | null {
    return this.#session?.conversation ?? this.#waiting;
  }

  async #show(conversation: Conversation): Promise<void> {
    const session = this.#session;
    if (!session) return this.#setWaiting(conversation);
    await this.#view.leave();
    await this.#keeper.take(conversation);
    this.#setWaiting(null, conversation);
    byId("forked", HTMLParagraphElement).hidden = true;
    this.#view.open(session, conversation);
  }

  /** Begins an empty conversation. The old one is in the list; where nothing is kept, this asks first. */
  async #startNew(): Promise<void> {
    const session = this.#session;
    if (!session) return;
    await this.#view.leave();
    await this.#keeper.flush();
    if (!this.#isKept && session.conversation.turns.length > 0) {
      const text = "This browser does not keep conversations here: those on the page will be lost.";
      if (!(await ask({ title: "Start a new chat?", text, yes: "New chat", no: "Stay here" }))) return;
      this.#keeper.drop();
    }
    await this.#show(newConversation(session.modelName));
  }

  async #openKept(id: string): Promise<void> {
    if (id === this.#current?.id) return;
    const conversation = await this.#store.read(id);
    if (conversation) await this.#show(conversation);
  }

  /** Removes a deleted conversation from the page. */
  async #forget(id: string): Promise<void> {
    if (id !== this.#current?.id) return;
    if (!this.#session) return this.#setWaiting(null);
    await this.#view.leave();
    this.#keeper.drop();
    // An answer that ended just now may have been written once more.
    await this.#store.delete(id);
    await this.#show(newConversation(this.#session.modelName));
  }

  async #restore(): Promise<void> {
    const [id, draft] = [notedConversation(), takeDraft()];
    if (!id) return;
    let stored: Conversation | null = null;
    try {
      stored = await this.#store.read(id);
    } catch (error) {
      this.#showKept(error);
    }
    const left = draft?.id === id ? joined(stored, draft) : null;
    const conversation = left ?? stored;
    if (!conversation || this.#current) return;
    this.#setWaiting(conversation);
    if (!left) return;
    await this.#keeper.take(left);
    this.#keeper.changed(0);
  }

  /** `shown` is the conversation on the page, where none waits. */
  #setWaiting(waiting: Conversation | null, shown: Conversation | null = null): void {
    this.#waiting = waiting;
    byId("resume", HTMLDivElement).hidden = waiting === null;
    byId("resume-title", HTMLElement).textContent = waiting?.title ?? "";
    noteConversation(waiting ?? shown);
  }

  #showKept(failure: unknown): void {
    this.#isKept = failure === null;
    const place = byId("unkept", HTMLParagraphElement);
    place.hidden = this.#isKept;
    if (this.#isKept) return;
    const why = failure instanceof Error ? failure.message : String(failure);
    place.textContent = `This browser does not keep conversations here: they last until the page is closed. ${sentence(why)}`;
  }

  #showForked(by: Overtaken["by"]): void {
    const what = by === "deletion" ? "was deleted" : "went on";
    const place = byId("forked", HTMLParagraphElement);
    place.textContent = `This conversation ${what} in another tab. Its state on this page is kept as a separate conversation.`;
    place.hidden = false;
    announce(place.textContent);
  }
}
