/** Errors in their places on the page. */

import { ChordError } from "@querent-ai/wasm-chord";
import { explain, sentence } from "./problem-texts.js";

export { sentence } from "./problem-texts.js";

/** Shows an error in its place on the page, with its code for those who want to report it. */
export function showProblem(place: HTMLElement, error: unknown): void {
  if (error instanceof ChordError) {
    const { what, next } = explain(error);
    const code = document.createElement("code");
    code.textContent = error.code;
    place.replaceChildren(`${what} ${next} `, code);
  } else {
    place.replaceChildren(sentence(error instanceof Error ? error.message : String(error)));
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
