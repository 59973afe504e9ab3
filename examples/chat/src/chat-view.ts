/** The conversation: messages, composer, its share of the context. */

import { ContextView } from "./context-view.js";
import type { Conversation, Turn } from "./conversations.js";
import { announce, byId, create } from "./dom.js";
import { Follow } from "./follow.js";
import { MessageView } from "./message-view.js";
import { clearProblem, showProblem } from "./problem.js";
import { isTooLong, type Session } from "./session.js";
import { settings } from "./settings.js";

const suggestions = [
  "Name the capital of France.",
  "Explain gravity to a child in three sentences.",
  "Write a haiku about the sea.",
];

const longestTitle = 80;

/** The longest wait for an answer to stop. */
const stopMs = 3_000;

/** Keeps the conversation. */
export interface ChatKeeper {
  /** The turns from this one on have changed. */
  changed(from: number): void;
  /** The last turn has grown. */
  grew(): void;
}

export class ChatView {
  readonly #transcript = byId("transcript", HTMLDivElement);
  readonly #messages = byId("messages", HTMLOListElement);
  readonly #prompt = byId("prompt", HTMLTextAreaElement);
  readonly #send = byId("send", HTMLButtonElement);
  readonly #stop = byId("stop", HTMLButtonElement);
  readonly #jump = byId("jump", HTMLButtonElement);
  readonly #problem = byId("chat-problem", HTMLParagraphElement);
  readonly #context = new ContextView(() => void this.#dropOldest());
  readonly #follow = new Follow(this.#transcript, this.#messages, (follows) => this.#showJump(!follows));
  readonly #keeper: ChatKeeper;
  #session: Session | null = null;
  /** One for each turn. */
  #views: MessageView[] = [];
  /** The question that had no room, after it was put back into its field. */
  #tooLong: string | null = null;
  /** The answer that is being written. */
  #answering: Promise<void> = Promise.resolve();

  constructor(keeper: ChatKeeper) {
    this.#keeper = keeper;
    byId("composer", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(this.#prompt.value);
    });
    this.#prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.#submit(this.#prompt.value);
    });
    this.#prompt.addEventListener("input", () => this.#resize());
    this.#stop.addEventListener("click", () => this.#session?.stop());
    this.#jump.addEventListener("click", () => {
      // The button disappears, so the focus goes to what it led to.
      if (document.activeElement === this.#jump) this.#transcript.focus({ preventScroll: true });
      this.#follow.toEnd();
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.#session?.stop();
    });
    byId("suggestions", HTMLUListElement).append(
      ...suggestions.map((text) => {
        const button = create("button", "", text);
        button.type = "button";
        button.addEventListener("click", () => void this.#submit(text));
        return create("li", "", button);
      }),
    );
  }

  /** Stops the answer that is being written; resolves when it has ended, or after a while. */
  async leave(): Promise<void> {
    this.#session?.stop();
    await Promise.race([this.#answering, new Promise((resolve) => setTimeout(resolve, stopMs))]);
  }

  /** Shows a conversation and continues it. */
  open(session: Session, conversation: Conversation): void {
    this.#session = session;
    session.open(conversation);
    // The page was left before an answer came. The store has the question until something else is said.
    if (conversation.turns.at(-1)?.text === "") conversation.turns.pop();
    const unanswered = conversation.turns.at(-1)?.role === "user" ? conversation.turns.pop() : undefined;
    if (unanswered && this.#prompt.value === "") this.#prompt.value = unanswered.text;
    this.#resize();
    this.#views = conversation.turns.map((turn) => new MessageView(turn, this.#actions));
    this.#messages.replaceChildren(...this.#views.map(({ element }) => element));
    for (const [index, turn] of conversation.turns.entries()) {
      if (turn.role === "assistant") void this.#views[index]!.show(turn);
    }
    byId("greeting", HTMLDivElement).hidden = conversation.turns.length > 0;
    clearProblem(this.#problem);
    this.#context.withdraw();
    this.#tooLong = null;
    this.#setBusy(false);
    this.#showTitle(conversation);
    this.#showCut();
    this.#showContext();
    void this.#measure(session);
    this.#follow.toEnd();
    this.#prompt.focus();
  }

  readonly #actions = { onRegenerate: () => void this.#regenerate() };

  async #submit(text: string): Promise<void> {
    const session = this.#session;
    if (!session || session.busy || text.trim() === "") return;
    const { conversation } = session;
    const turn: Turn = { role: "user", text: text.trim() };
    conversation.turns.push(turn);
    if (conversation.title === "") conversation.title = titleOf(turn.text);
    this.#add(new MessageView(turn));
    this.#prompt.value = "";
    this.#resize();
    this.#showTitle(conversation);
    this.#keeper.changed(conversation.turns.length - 1);
    this.#answering = this.#answer(session);
    await this.#answering;
  }

  async #regenerate(): Promise<void> {
    const session = this.#session;
    if (!session?.dropAnswer()) return;
    const last = this.#views.pop()!;
    const hadFocus = last.element.contains(document.activeElement);
    last.element.remove();
    this.#keeper.changed(session.conversation.turns.length);
    this.#answering = this.#answer(session, hadFocus);
    await this.#answering;
  }

  /** `fromButton`: a button that is gone had the focus, which goes to Stop and then to the new answer's button. */
  async #answer(session: Session, fromButton = false): Promise<void> {
    const { conversation } = session;
    clearProblem(this.#problem);
    this.#context.withdraw();
    this.#tooLong = null;
    byId("greeting", HTMLDivElement).hidden = true;
    const view = new MessageView({ role: "assistant", text: "" }, this.#actions);
    this.#add(view);
    this.#setBusy(true);
    if (fromButton) this.#stop.focus();
    this.#follow.toEnd();
    announce("Writing an answer");
    const shown = () => this.#session === session && session.conversation === conversation;
    try {
      const turn = await session.answer(settings(), {
        onText: (partial) => {
          if (!shown()) return;
          view.update(partial);
          this.#showContext();
          this.#keeper.grew();
        },
        onPrompt: (progress) => view.showReading(progress),
        onRoom: () => this.#showCut(),
      });
      if (!shown()) return;
      if (turn.text === "" && turn.ended === "stopped") this.#takeBack(session);
      else this.#finish(session, view, turn);
      if (session.isFull) this.#context.offer(session.contextLength, true);
      announce(turn.ended === "stopped" ? "Stopped" : "The answer is complete");
    } catch (error) {
      if (!shown()) return;
      const last = conversation.turns.at(-1);
      if (last?.role === "assistant") this.#finish(session, view, last);
      else this.#takeBack(session);
      if (isTooLong(error)) this.#offer(session, error);
      else showProblem(this.#problem, error);
    } finally {
      if (shown()) {
        const stopHadFocus = document.activeElement === this.#stop;
        this.#setBusy(false);
        if (fromButton && stopHadFocus && this.#views.at(-1) === view) view.focusRegenerate();
        this.#showContext();
        // A withdrawn question is no longer part of it.
        if (this.#views.at(-1) !== view) void this.#measure(session);
      }
    }
  }

  #add(view: MessageView): void {
    this.#views.push(view);
    this.#messages.append(view.element);
  }

  #finish(session: Session, view: MessageView, turn: Turn): void {
    view.finish(turn);
    this.#keeper.changed(session.conversation.turns.length - 1);
  }

  /** Puts a question that got no answer back into its field. */
  #takeBack(session: Session): void {
    const { conversation } = session;
    this.#views.pop()?.element.remove();
    const question = conversation.turns.at(-1)?.role === "user" ? conversation.turns.pop() : undefined;
    if (!question) return;
    this.#views.pop()?.element.remove();
    this.#keeper.changed(conversation.turns.length);
    if (this.#prompt.value === "") this.#prompt.value = question.text;
    this.#tooLong = question.text;
    this.#resize();
    byId("greeting", HTMLDivElement).hidden = conversation.turns.length > 0;
  }

  /** The question had no room: without older turns it may have. */
  #offer(session: Session, error: unknown): void {
    const { turns, unsent, dropsOldest } = session.conversation;
    if (turns.length > unsent && !dropsOldest) this.#context.offer(session.contextLength, false);
    else showProblem(this.#problem, error);
  }

  async #dropOldest(): Promise<void> {
    const session = this.#session;
    if (!session || session.busy) return;
    session.conversation.dropsOldest = true;
    this.#context.withdraw();
    this.#prompt.focus();
    const question = this.#tooLong;
    if (question !== null && question === this.#prompt.value.trim()) return this.#submit(question);
    try {
      await session.makeRoom(settings());
      await this.#measure(session);
    } catch (error) {
      showProblem(this.#problem, error);
    }
    this.#showCut();
    this.#keeper.changed(session.conversation.turns.length);
  }

  #showCut(): void {
    const unsent = this.#session?.conversation.unsent ?? 0;
    this.#context.showCut(unsent > 0 ? (this.#views[unsent]?.element ?? null) : null);
  }

  #showTitle({ title }: Conversation): void {
    byId("chat-title", HTMLHeadingElement).textContent = title || "New chat";
  }

  #showJump(isUseful: boolean): void {
    if (!isUseful && document.activeElement === this.#jump) this.#transcript.focus({ preventScroll: true });
    this.#jump.hidden = !isUseful;
  }

  #setBusy(busy: boolean): void {
    this.#messages.setAttribute("aria-busy", String(busy));
    document.body.toggleAttribute("data-busy", busy);
    const hadFocus = document.activeElement === this.#send || document.activeElement === this.#stop;
    this.#send.hidden = busy;
    this.#stop.hidden = !busy;
    if (hadFocus) (busy ? this.#stop : this.#prompt).focus();
  }

  /** Counts the conversation's tokens if no answer has just reported them. */
  async #measure(session: Session): Promise<void> {
    const { conversation } = session;
    await session.measure(settings()).catch(() => undefined);
    if (this.#session === session && session.conversation === conversation) this.#showContext();
  }

  #showContext(): void {
    this.#context.show(this.#session?.contextUsed ?? 0, this.#session?.contextLength ?? 0);
  }

  /** Grows the field with its text where the browser cannot do so by itself (`field-sizing`). */
  #resize(): void {
    if (CSS.supports("field-sizing", "content")) return;
    this.#prompt.style.height = "auto";
    this.#prompt.style.height = `${this.#prompt.scrollHeight}px`;
  }
}

/** The first line of the first question. */
function titleOf(text: string): string {
  const [line = ""] = text.trim().split("\n");
  const letters = [...line.trim()];
  return letters.length > longestTitle ? `${letters.slice(0, longestTitle - 1).join("")}…` : letters.join("");
}
