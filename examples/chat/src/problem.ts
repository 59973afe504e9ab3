/** Errors as people read them: what happened, and what helps. */

import { ChordError } from "@querent-ai/wasm-chord";

/** What helps, by the code of the error. The message itself says what happened. */
const advice: Record<string, string> = {
  "network-failed": "Check the address and the connection, and that the host lets other sites read the file (CORS).",
  "network-stalled": "Load again: it goes on from what has arrived.",
  "short-body": "Load again: it goes on from what has arrived.",
  "source-changed": "Load again.",
  "storage-quota": "Free some space, or remove the data of this site in the browser's settings.",
  "device-lost": "Load the model again: it is still stored in this browser.",
  "unsupported-architecture": "Choose a model of another architecture, such as Llama, Mistral, SmolLM or Gemma 3.",
  "bad-magic": "Choose a .gguf file.",
  "no-chat-template": "Choose a model made for chat; its name often ends in Instruct.",
  "no-backend": "Choose “Best” under Settings: the model then runs on the CPU.",
  "prompt-too-long": "Start a new chat, or load the model with a longer context (Settings).",
  "out-of-memory": "Choose a smaller model or a shorter context (Settings), or close other tabs.",
};

/** Shows an error in its place on the page, with its code for those who want to report it. */
export function showProblem(place: HTMLElement, error: unknown): void {
  const { message, code } = describe(error);
  place.replaceChildren(message);
  const help = code === undefined ? undefined : advice[code];
  if (help) place.append(` ${help}`);
  if (code) {
    const tag = document.createElement("code");
    tag.textContent = code;
    place.append(tag);
  }
  place.hidden = false;
}

export function clearProblem(place: HTMLElement): void {
  place.hidden = true;
  place.replaceChildren();
}

/** True for the error of a load or an answer that the reader cancelled. */
export function isCancelled(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

function describe(error: unknown): { message: string; code?: string } {
  if (error instanceof ChordError) return { message: sentence(error.message), code: error.code };
  if (error instanceof Error) return { message: sentence(error.message) };
  return { message: sentence(String(error)) };
}

/** A message as a sentence. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const start = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}
