/** The conversation: messages, composer, what it takes of the context. */

import { announce, byId, create } from "./dom.js";
import { formatCount } from "./format.js";
import { MessageView } from "./message-view.js";
import { clearProblem, showProblem } from "./problem.js";
import type { Session, Turn } from "./session.js";
import { settings } from "./settings.js";

const suggestions = [
  "Name the capital of France.",
  "Explain gravity to a child in three sentences.",
  "Write a haiku about the sea.",
];

/** Farther from the end than this, the reader has scrolled up, and new text does not pull them down. */
const nearEndPixels = 80;

export class ChatView {
  readonly #transcript = byId("transcript", HTMLDivElement);
  readonly #messages = byId("messages", HTMLOListElement);
  readonly #prompt = byId("prompt", HTMLTextAreaElement);
  readonly #send = byId("send", HTMLButtonElement);
  readonly #stop = byId("stop", HTMLButtonElement);
  readonly #problem = byId("chat-problem", HTMLParagraphElement);
  #session: Session | null = null;
  #contextLength = 0;

  constructor() {
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
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.#session?.stop();
    });
    byId("new-chat", HTMLButtonElement).addEventListener("click", () => this.reset());
    byId("suggestions", HTMLUListElement).append(
      ...suggestions.map((text) => {
        const button = create("button", "", text);
        button.type = "button";
        button.addEventListener("click", () => void this.#submit(text));
        return create("li", "", button);
      }),
    );
  }

  open(session: Session, contextLength: number): void {
    this.#session = session;
    this.#contextLength = contextLength;
    this.reset();
  }

  /** Ends the conversation and starts an empty one. */
  reset(): void {
    this.#session?.clear();
    this.#messages.replaceChildren();
    byId("greeting", HTMLDivElement).hidden = false;
    clearProblem(this.#problem);
    this.#setBusy(false);
    this.#showContext();
    this.#prompt.focus();
  }

  async #submit(text: string): Promise<void> {
    const session = this.#session;
    if (!session || session.busy || text.trim() === "") return;
    const turn: Turn = { role: "user", text: text.trim() };
    session.turns.push(turn);
    this.#messages.append(new MessageView(turn).element);
    this.#prompt.value = "";
    this.#resize();
    await this.#answer(session);
  }

  async #regenerate(): Promise<void> {
    const session = this.#session;
    if (!session?.dropAnswer()) return;
    this.#messages.lastElementChild?.remove();
    await this.#answer(session);
  }

  async #answer(session: Session): Promise<void> {
    clearProblem(this.#problem);
    byId("greeting", HTMLDivElement).hidden = true;
    const view = new MessageView({ role: "assistant", text: "" }, { onRegenerate: () => void this.#regenerate() });
    this.#messages.append(view.element);
    this.#setBusy(true);
    this.#scrollToEnd();
    announce("Writing an answer");
    try {
      const turn = await session.answer(settings(), (partial) => this.#follow(() => view.update(partial)));
      if (turn.text === "" && turn.ended === "stopped") this.#takeBack(session);
      else this.#follow(() => view.finish(turn));
      announce(turn.ended === "stopped" ? "Stopped" : "The answer is complete");
    } catch (error) {
      const last = session.turns.at(-1);
      if (last?.role === "assistant") view.finish(last);
      else this.#takeBack(session);
      showProblem(this.#problem, error);
    } finally {
      this.#setBusy(false);
      this.#showContext();
    }
  }

  /** A question that got no answer goes back to where it was written. */
  #takeBack(session: Session): void {
    this.#messages.lastElementChild?.remove();
    const question = session.turns.at(-1)?.role === "user" ? session.turns.pop() : undefined;
    if (!question) return;
    this.#messages.lastElementChild?.remove();
    if (this.#prompt.value === "") this.#prompt.value = question.text;
    this.#resize();
    byId("greeting", HTMLDivElement).hidden = session.turns.length > 0;
  }

  /** Changes the transcript and stays at its end, unless the reader has scrolled up. */
  #follow(change: () => void): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#transcript;
    const atEnd = scrollHeight - scrollTop - clientHeight < nearEndPixels;
    change();
    if (atEnd) requestAnimationFrame(() => this.#scrollToEnd());
  }

  #scrollToEnd(): void {
    this.#transcript.scrollTop = this.#transcript.scrollHeight;
  }

  #setBusy(busy: boolean): void {
    this.#messages.setAttribute("aria-busy", String(busy));
    document.body.toggleAttribute("data-busy", busy);
    const hadFocus = document.activeElement === this.#send || document.activeElement === this.#stop;
    this.#send.hidden = busy;
    this.#stop.hidden = !busy;
    if (hadFocus) (busy ? this.#stop : this.#prompt).focus();
  }

  #showContext(): void {
    const used = this.#session?.contextUsed ?? 0;
    const text = `${formatCount(used)} of ${formatCount(this.#contextLength)} tokens`;
    byId("context-text", HTMLSpanElement).textContent = text;
    const meter = byId("context-meter", HTMLMeterElement);
    meter.max = Math.max(1, this.#contextLength);
    meter.high = meter.max * 0.85;
    meter.value = used;
  }

  /** Grows the field with its text where the browser cannot do so by itself (`field-sizing`). */
  #resize(): void {
    if (CSS.supports("field-sizing", "content")) return;
    this.#prompt.style.height = "auto";
    this.#prompt.style.height = `${this.#prompt.scrollHeight}px`;
  }
}
