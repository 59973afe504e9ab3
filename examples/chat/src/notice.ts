/** The line above the chat: what a reader should know about this device, until they dismiss it. */

import { byId } from "./dom.js";
import { readStored, writeStored } from "./stored.js";

const DISMISSED = "dismissed-notices";
/** Most dismissed notices that are remembered: more than one browser ever shows. */
const MOST_KEPT = 20;

let shown = "";

export function initNotice(): void {
  byId("notice-dismiss", HTMLButtonElement).addEventListener("click", () => {
    writeStored(DISMISSED, [...dismissed(), shown].slice(-MOST_KEPT));
    showNotice("");
    // The focus would be lost with the button.
    byId("prompt", HTMLTextAreaElement).focus();
  });
}

/** Shows a notice, unless it is empty or was dismissed once: a dismissed one never comes back, another one may. */
export function showNotice(text: string): void {
  shown = text;
  byId("notice", HTMLDivElement).hidden = text === "" || dismissed().includes(text);
  byId("notice-text", HTMLParagraphElement).textContent = text;
}

function dismissed(): string[] {
  const isText = (value: unknown): value is string => typeof value === "string";
  return readStored(DISMISSED, (value) => (Array.isArray(value) ? value.filter(isText) : null)) ?? [];
}
