/** The conversation's share of the context, and the choice once it is full. */

import { byId, create } from "./dom.js";
import { formatCount } from "./format.js";

export class ContextView {
  readonly #full = byId("context-full", HTMLDivElement);
  readonly #cut = create("li", "cut", "The model no longer reads what is above this line.");

  /** `onDropOldest` is called when the user wants to continue without the oldest messages. */
  constructor(onDropOldest: () => void) {
    byId("context-drop", HTMLButtonElement).addEventListener("click", onDropOldest);
  }

  show(used: number, contextLength: number): void {
    const text = `${formatCount(used)} of ${formatCount(contextLength)} tokens`;
    byId("context-text", HTMLSpanElement).textContent = text;
    const meter = byId("context-meter", HTMLMeterElement);
    meter.max = Math.max(1, contextLength);
    meter.high = meter.max * 0.85;
    meter.value = used;
  }

  /** Says once that the context is full, and what helps. */
  offer(contextLength: number, isAnswerCut: boolean): void {
    const what = isAnswerCut ? "the answer above ended early" : "your message has no room in it";
    byId("context-full-text", HTMLParagraphElement).textContent =
      `The context is full: this conversation has reached the ${formatCount(contextLength)} tokens that the model ` +
      `reads at once, and ${what}. Continue without the oldest messages, which stay on the page, or start a new chat. ` +
      `You can set a longer context under Settings for the next load.`;
    this.#full.hidden = false;
  }

  withdraw(): void {
    this.#full.hidden = true;
  }

  /** Draws the line between what is sent and what is not; `firstSent` is null if everything is sent. */
  showCut(firstSent: HTMLLIElement | null): void {
    if (firstSent) {
      if (firstSent.previousElementSibling !== this.#cut) firstSent.before(this.#cut);
    } else {
      this.#cut.remove();
    }
  }
}
