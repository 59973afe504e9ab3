/** The page: choose a model, load it, chat with it. */

import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/start.css";
import "./styles/chat.css";
import "./styles/panel.css";
import "./styles/question.css";
import "./styles/touch.css";

import { Chord } from "@querent-ai/wasm-chord";
import { initAboutView, showModel } from "./about-view.js";
import { Chats } from "./chats.js";
import { announce, byId } from "./dom.js";
import { acceptDrops, isModel } from "./drops.js";
import { formatBytes } from "./format.js";
import { initLoadView, showLoadProgress, startLoadView } from "./load-view.js";
import { initOffline, keepForModel } from "./offline.js";
import { initNotice } from "./notice.js";
import { initPicker, refreshFit, refreshPicker, showPickerProblem, takeFile, type ChosenModel } from "./picker.js";
import { isCancelled } from "./problem.js";
import { ask, initQuestion } from "./question.js";
import { Session } from "./session.js";
import { initSettings, settings } from "./settings.js";
import { initStorageView } from "./storage-view.js";
import { initTheme } from "./theme.js";

type Phase = "choose" | "loading" | "chat";

const chats = new Chats();
let session: Session | null = null;
let loadAbort: AbortController | null = null;
/** The running load, or the last one. */
let loading: Promise<void> = Promise.resolve();

void initOffline(() => loadAbort === null && session === null);
initTheme();
initSettings(refreshFit);
initAboutView(
  () => session,
  () => void changeModel(),
);
initLoadView(() => loadAbort?.abort());
initStorageView(() => void refreshPicker());
initQuestion();
initNotice();
acceptDrops((file) => void loadDropped(file));
void initPicker((model) => {
  loading = load(model);
});
void showCapability();
void loadFonts();

function setPhase(phase: Phase): void {
  document.body.dataset.phase = phase;
  byId("start", HTMLElement).hidden = phase === "chat";
  byId("picker", HTMLFormElement).hidden = phase !== "choose";
  byId("loading", HTMLElement).hidden = phase !== "loading";
  byId("chat", HTMLElement).hidden = phase !== "chat";
}

async function load(model: ChosenModel): Promise<void> {
  if (loadAbort || session) return;
  const { backend, contextLength } = settings();
  loadAbort = new AbortController();
  const control = startLoadView(model.title);
  setPhase("loading");
  byId("load-cancel", HTMLButtonElement).focus();
  const kept = keepForModel();
  try {
    const chord = await Chord.load(model.source, {
      backend,
      ...(contextLength === null ? {} : { contextLength }),
      signal: loadAbort.signal,
      control,
      onProgress: showLoadProgress,
    });
    const [info] = await Promise.all([chord.info(), kept]);
    session = new Session(chord, model.title, info.contextLength);
    showModel(model.title, info);
    setPhase("chat");
    await chats.open(session);
    announce(`${model.title} is ready`);
  } catch (error) {
    setPhase("choose");
    void refreshPicker();
    if (isCancelled(error)) announce("Cancelled");
    else showPickerProblem(error);
    byId("load", HTMLButtonElement).focus();
  } finally {
    loadAbort = null;
  }
}

async function changeModel(): Promise<void> {
  const old = session;
  await chats.close();
  session = null;
  setPhase("choose");
  void refreshPicker();
  await old?.chord.unload();
}

/** Loads a file that was dropped; offers it where that would end a load or a chat. */
async function loadDropped(file: File): Promise<void> {
  if (loadAbort || session) {
    const here = session ? `It takes the place of ${session.modelName}` : "The load under way ends";
    const isOne = await isModel(file);
    const agreed = await ask(
      isOne
        ? {
            title: `Load ${file.name}?`,
            text: `${formatBytes(file.size)} from your disk. ${here}.`,
            ...{ yes: "Load it", no: "Go on as it is" },
          }
        : { title: `${file.name} is no model`, text: "A model's file begins with GGUF.", yes: null, no: "Close" },
    );
    if (!agreed) return;
    loadAbort?.abort();
    await loading;
    if (session) await changeModel();
  }
  takeFile(file);
}

/** Says before the load what the model will run on. */
async function showCapability(): Promise<void> {
  const { webgpu } = await Chord.capabilities();
  const hint = byId("capability", HTMLParagraphElement);
  const hasGpu = webgpu.available && !webgpu.isSoftware;
  byId("lede-device", HTMLSpanElement).textContent = hasGpu ? "your GPU" : "your device";
  if (hasGpu) hint.textContent = `Runs on ${webgpu.adapter ?? "your GPU"}, with WebGPU.`;
  else if (webgpu.available) hint.textContent = "The only GPU here is a software one: models run on the CPU.";
  else hint.textContent = `Models run on the CPU here, which is slower: ${webgpu.why ?? "there is no WebGPU"}.`;
}

/** Fetches every font face now: once a model is loaded the page makes no requests. */
async function loadFonts(): Promise<void> {
  const faces = [...document.fonts];
  await Promise.allSettled(faces.map((face) => face.load()));
}
