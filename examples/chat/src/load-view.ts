/** Progress of a load: stage, bytes, speed, time left, cancel. */

import type { LoadProgress } from "@querent-ai/wasm-chord";
import { announce, byId } from "./dom.js";
import { formatBytes, formatDuration } from "./format.js";

const stages: Record<LoadProgress["stage"], string> = {
  header: "Reading the header",
  download: "Downloading",
  upload: "Loading",
  compile: "Preparing the device",
  ready: "Ready",
};

export function initLoadView(onCancel: () => void): void {
  byId("load-cancel", HTMLButtonElement).addEventListener("click", onCancel);
}

export function startLoadView(title: string): void {
  byId("load-name", HTMLParagraphElement).textContent = title;
  showStage("Starting");
  for (const id of ["load-bytes", "load-speed", "load-eta", "load-from"]) byId(id, HTMLElement).textContent = "–";
  byId("load-share", HTMLOutputElement).value = "";
  byId("load-bar", HTMLProgressElement).value = 0;
}

export function showLoadProgress(progress: LoadProgress): void {
  showStage(stages[progress.stage]);
  byId("load-bar", HTMLProgressElement).value = progress.progress;
  byId("load-share", HTMLOutputElement).value = `${Math.floor(progress.progress * 100)} %`;
  const bytes = `${formatBytes(progress.loaded)} of ${formatBytes(progress.total)}`;
  byId("load-bytes", HTMLElement).textContent = progress.total > 0 ? bytes : "–";
  byId("load-speed", HTMLElement).textContent =
    progress.bytesPerSecond > 0 ? `${formatBytes(progress.bytesPerSecond)}/s` : "–";
  byId("load-eta", HTMLElement).textContent = progress.etaMs === null ? "–" : formatDuration(progress.etaMs / 1000);
  byId("load-from", HTMLElement).textContent =
    progress.stage === "header" ? "–" : progress.fromCache ? "this browser" : "the network";
}

function showStage(text: string): void {
  const place = byId("load-stage", HTMLHeadingElement);
  if (place.textContent === text) return;
  place.textContent = text;
  announce(text);
}
