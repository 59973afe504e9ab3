/** Whether a model fits this device, from its header, before anything else of it is downloaded. */

import { Chord, type ModelSource, type Verdict } from "@querent-ai/wasm-chord";
import { settings } from "./settings.js";

const verdicts = new Map<string, Verdict>();
/** The running inspection. */
let looking: AbortController | null = null;

/** A verdict for the settings of now, if the model was looked at. */
export function knownVerdict(source: ModelSource): Verdict | undefined {
  return verdicts.get(keyOf(source));
}

/** Looks at a model, in place of any that is being looked at. Undefined where that cannot be told now. */
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

/** In a few words, and in more. */
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
