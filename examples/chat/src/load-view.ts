/** Progress of a load: stage, bytes, speed, time left, pause and cancel. */

import { LoadControl, type LoadProgress } from "@querent-ai/wasm-chord";
import { announce, byId } from "./dom.js";
import { formatBytes, formatDuration } from "./format.js";

const stages = {
  header: "Reading the header",
  download: "Downloading",
  upload: "Loading",
  compile: "Preparing the device",
  ready: "Ready",
} satisfies Record<LoadProgress["stage"], string>;

/** The load that is shown. */
let control: LoadControl | null = null;
let stage: LoadProgress["stage"] = "header";
/** Bytes are still to come over the network. */
let downloading = false;

export function initLoadView(onCancel: () => void): void {
  byId("load-cancel", HTMLButtonElement).addEventListener("click", onCancel);
  byId("load-pause", HTMLButtonElement).addEventListener("click", () => {
    if (control?.paused) control.resume();
    else control?.pause();
    showPaused();
  });
}

/** Shows a load that begins. The returned control pauses and resumes its download. */
export function startLoadView(title: string): LoadControl {
  byId("load-name", HTMLParagraphElement).textContent = title;
  for (const id of ["load-bytes", "load-speed", "load-eta", "load-from"]) byId(id, HTMLElement).textContent = "–";
  byId("load-share", HTMLOutputElement).value = "";
  byId("load-bar", HTMLProgressElement).value = 0;
  control = new LoadControl();
  stage = "header";
  downloading = false;
  showPaused();
  return control;
}

export function showLoadProgress(progress: LoadProgress): void {
  stage = progress.stage;
  downloading = !progress.fromCache && progress.loaded < progress.total;
  byId("load-bar", HTMLProgressElement).value = progress.progress;
  byId("load-share", HTMLOutputElement).value = `${Math.floor(progress.progress * 100)} %`;
  const bytes = `${formatBytes(progress.loaded)} of ${formatBytes(progress.total)}`;
  byId("load-bytes", HTMLElement).textContent = progress.total > 0 ? bytes : "–";
  const moving = progress.bytesPerSecond > 0 && !control?.paused;
  byId("load-speed", HTMLElement).textContent = moving ? `${formatBytes(progress.bytesPerSecond)}/s` : "–";
  byId("load-eta", HTMLElement).textContent =
    moving && progress.etaMs !== null ? formatDuration(progress.etaMs / 1000) : "–";
  byId("load-from", HTMLElement).textContent =
    progress.stage === "header" ? "–" : progress.fromCache ? "this browser" : "the network";
  showPaused();
}

/** Only a download can be paused, not the reading of stored bytes. */
function showPaused(): void {
  const paused = control?.paused ?? false;
  const button = byId("load-pause", HTMLButtonElement);
  button.textContent = paused ? "Resume" : "Pause";
  const useful = paused || downloading;
  if (!useful && document.activeElement === button) byId("load-cancel", HTMLButtonElement).focus();
  button.hidden = !useful;
  // All bytes are there, and the device does not take them yet.
  const isPreparing = stage === "download" && !downloading;
  showStage(paused ? "Paused" : stages[isPreparing ? "compile" : stage]);
  if (paused) for (const id of ["load-speed", "load-eta"]) byId(id, HTMLElement).textContent = "–";
}

function showStage(text: string): void {
  const place = byId("load-stage", HTMLHeadingElement);
  if (place.textContent === text) return;
  place.textContent = text;
  announce(text);
}
