/** Whether a model fits this device, from its header, before anything else of it is downloaded. */

import { Chord, type ModelSource, type Verdict } from "@querent-ai/wasm-chord";
import { settings } from "./settings.js";

const verdicts = new Map<string, Verdict>();
/** The running inspection. */
let looking: AbortController | null = null;

/** The verdict for the current settings, if the model was inspected. */
export function knownVerdict(source: ModelSource): Verdict | undefined {
  return verdicts.get(keyOf(source));
}

/** Inspects a model, in place of any running inspection. Undefined if that fails. */
export async function judge(source: ModelSource): Promise<Verdict | undefined> {
  stopJudging();
  const known = knownVerdict(source);
  if (known) return known;
  const key = keyOf(source);
  const abort = (looking = new AbortController());
  const { backend, contextLength } = settings();
  try {
    const options = { backend, signal: abort.signal, ...(contextLength === null ? {} : { contextLength }) };
    const { verdict } = await Chord.inspect(source, options);
    verdicts.set(key, verdict);
    return verdict;
  } catch {
    return undefined; // Loading it will report why.
  } finally {
    if (looking === abort) looking = null;
  }
}

/** A load has the network and the device for itself. */
export function stopJudging(): void {
  looking?.abort();
  looking = null;
}

/** A verdict in a few words, and in a sentence. */
export function verdictText(verdict: Verdict): { text: string; title: string } {
  switch (verdict.kind) {
    case "fits":
      return { text: "fits this device", title: "There is room for its weights, its context and its scratch memory." };
    case "fits-with-context":
      return {
        text: `fits with a context of ${verdict.contextLength.toLocaleString("en")}`,
        title: "A longer context may not fit. You can set its length under Settings.",
      };
    case "pages":
      return { text: "may not fit this GPU", title: "It needs more memory than GPUs like this one usually have." };
    case "unsupported":
      return { text: "does not run here", title: verdict.why };
  }
}

function keyOf(source: ModelSource): string {
  const { backend, contextLength } = settings();
  return JSON.stringify([source, backend, contextLength]);
}
