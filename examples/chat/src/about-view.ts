/** What runs and on what: the badge in the bar, the line below the composer, the sheet with all facts. */

import type { ChordInfo } from "@querent-ai/wasm-chord";
import { byId, create } from "./dom.js";
import { formatBytes, formatCount, formatParameters } from "./format.js";
import { showNotice } from "./notice.js";
import { sentence } from "./problem.js";
import { settings } from "./settings.js";
import type { Session } from "./session.js";

export function initAboutView(getSession: () => Session | null, onChangeModel: () => void): void {
  const dialog = byId("about", HTMLDialogElement);
  byId("model-button", HTMLButtonElement).addEventListener("click", () => {
    const session = getSession();
    if (!session) return;
    void session.chord.info().then((info) => showFacts(info));
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  byId("change-model", HTMLButtonElement).addEventListener("click", () => {
    dialog.close();
    onChangeModel();
  });
}

/** Names the model and the device wherever the page shows them. */
export function showModel(name: string, info: ChordInfo): void {
  const onGpu = info.backend === "webgpu";
  byId("model-name", HTMLSpanElement).textContent = name;
  byId("model-backend", HTMLSpanElement).textContent = onGpu ? "GPU" : "CPU";
  byId("model-button", HTMLButtonElement).setAttribute(
    "aria-label",
    `${name}, on the ${onGpu ? "GPU" : "CPU"}: details`,
  );
  const line = byId("backend-line", HTMLParagraphElement);
  line.textContent = deviceOf(info);
  line.title = info.why;
  const warnings = byId("model-warnings", HTMLParagraphElement);
  warnings.hidden = info.warnings.length === 0;
  warnings.textContent = info.warnings.map(sentence).join(" ");
  showNotice(onGpu || settings().backend === "cpu" ? "" : `Running on the CPU, which is slower. ${firstReason(info)}`);
}

/** The first fallback is the one that a visitor may be able to change. */
function firstReason({ why }: ChordInfo): string {
  const [first] = why.split("; ");
  return first ? sentence(first) : "";
}

function deviceOf(info: ChordInfo): string {
  return info.backend === "webgpu" ? `WebGPU on ${info.adapter.name || "this device"}` : "CPU, WebAssembly";
}

function showFacts(info: ChordInfo): void {
  const { model, memory, store } = info;
  const kept = store.complete ? "Kept in this browser" : "Partly kept in this browser";
  const stored = {
    opfs: kept,
    indexeddb: kept,
    memory: "Kept in memory",
    none: "Not kept",
    file: "Read from your file",
  }[store.kind];
  const types = Object.entries(model.tensorTypes).sort(([, a], [, b]) => b - a);
  const facts: [string, string][] = [
    ["Name", model.name ?? ""],
    ["Architecture", `${model.architecture}, ${formatParameters(model.parameters)}`],
    ["Weights", types.map(([type, bytes]) => `${type} ${formatBytes(bytes)}`).join(", ")],
    ["Vocabulary", `${formatCount(model.vocabularySize)} tokens`],
    ["Context", `${formatCount(info.contextLength)} of ${formatCount(model.trainedContextLength)} tokens`],
    ["Runs on", deviceOf(info)],
    ["Why", info.why],
    [
      "Memory",
      `${formatBytes(memory.total)}: weights ${formatBytes(memory.weights)}, KV cache ${formatBytes(memory.kv)}`,
    ],
    ["WebAssembly", `${formatBytes(info.wasmHeapBytes)} of heap`],
    ["Storage", store.why ? `${stored}: ${store.why}` : stored],
    ["Notes", info.notes.map(sentence).join(" ")],
    [
      "This load",
      store.networkBytes > 0 ? `${formatBytes(store.networkBytes)} from the network` : "Nothing from the network",
    ],
  ];
  const rows = facts
    .filter(([, value]) => value !== "")
    .map(([name, value]) => create("div", "", create("dt", "", name), create("dd", "", value)));
  byId("about-facts", HTMLDListElement).replaceChildren(...rows);
}
