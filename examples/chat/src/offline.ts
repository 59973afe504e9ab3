/**
 * The page's side of its service worker: it keeps the page for use without a network, isolates it (which CPU threads
 * need) on hosts that send no headers for that, and announces a new version.
 */

import { Chord } from "@querent-ai/wasm-chord";
import { type Ask, versionName } from "../service-worker/protocol.js";
import { announce, byId } from "./dom.js";

/** Noted for the visit, so that a host or browser where isolation does not work costs only one reload. */
const TRIED = "isolation-tried";
/** The longest wait for an answer: a running worker answers at once, one of another kind never does. */
const ANSWER_MS = 3_000;
/** After a model has loaded, the visitor waits at most this long for the rest of the page to be kept. */
const KEEP_MS = 5_000;

/** The version of this page's build. The development server has none. */
const version = document.querySelector<HTMLMetaElement>('meta[name="version"]')?.content ?? "";

/** The registration, or undefined where nothing can be kept. */
let registered: Promise<ServiceWorkerRegistration | undefined> | undefined;

/** `mayReload` is asked at the last moment, on hosts where one reload makes the page isolated. */
export async function initOffline(mayReload: () => boolean): Promise<void> {
  byId("update-reload", HTMLButtonElement).addEventListener("click", () => void takeUpdate());
  byId("update-later", HTMLButtonElement).addEventListener("click", () => {
    byId("update", HTMLDivElement).hidden = true;
  });
  registered = register(mayReload).catch(() => undefined); // Service workers are blocked: the page needs its host.
  const registration = await registered;
  if (!registration) return showOffline(false);
  await idle();
  // Before any model is stored, only what this browser begins with: most visits need no more.
  const models = await Chord.cache.list().catch(() => []);
  await keep(models.length > 0 ? "all" : "first");
}

/**
 * Keeps all that a loaded model may need later on: the baseline engine, or the 64-bit one. Called during a load, so
 * that nothing is left to fetch when it ends. Resolves in any case, after {@link KEEP_MS} at the latest.
 */
export async function keepForModel(): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      void post({ type: "rest" });
      resolve();
    }, KEEP_MS);
  });
  await Promise.race([keep("all").catch(() => undefined), late]);
  clearTimeout(timer);
}

async function register(mayReload: () => boolean): Promise<ServiceWorkerRegistration | undefined> {
  if (version === "" || !isSecureContext || !("serviceWorker" in navigator)) return undefined;
  holdVersion();
  // A page that is isolated already can wait until its own files have loaded.
  if (crossOriginIsolated) await loaded();
  const address = new URL("service-worker.js", document.baseURI);
  const registration = await navigator.serviceWorker.register(address, { updateViaCache: "none" });
  watchForUpdates(registration);
  if (!registration.active && !(await installs(registration))) return undefined;
  if (!crossOriginIsolated) isolate(mayReload);
  return registration;
}

/** False where the page could not be kept: a host in the middle of an update, no room. */
async function installs(registration: ServiceWorkerRegistration): Promise<boolean> {
  const worker = registration.installing;
  const refused = new Promise<false>((resolve) => {
    worker?.addEventListener("statechange", () => worker.state === "redundant" && resolve(false));
  });
  return Promise.race([refused, navigator.serviceWorker.ready.then(() => true)]);
}

/** While this lock is held, the files of this version stay. It belongs to the tab and ends with it. */
function holdVersion(): void {
  const scope = new URL(".", document.baseURI).href;
  const held = () => new Promise<never>(() => undefined);
  navigator.locks?.request(versionName(scope, version), { mode: "shared" }, held).catch(() => undefined);
}

function isolate(mayReload: () => boolean): void {
  if (sessionStorage.getItem(TRIED) !== null) return;
  sessionStorage.setItem(TRIED, "yes");
  if (mayReload()) location.reload();
}

async function keep(what: "first" | "all"): Promise<void> {
  const { wasm } = await Chord.capabilities();
  const artifacts = what === "all" ? wasm.artifacts : wasm.artifacts.slice(0, 1);
  const kept = await post({ type: "keep", artifacts });
  if (kept === true) showOffline(true);
}

/** Asks the worker of this version; undefined where there is none. */
async function post(ask: Ask): Promise<unknown> {
  const registration = await registered;
  return registration?.active ? answerOf(registration.active, ask) : undefined;
}

function answerOf(worker: ServiceWorker, ask: Ask): Promise<unknown> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
    if (ask.type !== "keep") setTimeout(resolve, ANSWER_MS);
    worker.postMessage(ask, [port2]);
  });
}

/** Says whether this browser keeps the page. */
function showOffline(works: boolean): void {
  byId("offline", HTMLParagraphElement).textContent = works
    ? "Works offline once a model is stored."
    : "This browser does not store the page: opening it needs a connection.";
}

// A new version

function watchForUpdates(registration: ServiceWorkerRegistration): void {
  const look = () => void lookForUpdate(registration);
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", look);
  });
  // Another tab has activated it.
  navigator.serviceWorker.addEventListener("controllerchange", look);
  look();
}

async function lookForUpdate({ waiting, active }: ServiceWorkerRegistration): Promise<void> {
  const newest = waiting ?? active;
  const found = newest && (await answerOf(newest, { type: "version" }));
  if (typeof found !== "string") return;
  // A page that was loaded past its worker may already be the new version.
  if (found === version) waiting?.postMessage({ type: "activate" } satisfies Ask);
  else if (byId("update", HTMLDivElement).hidden) {
    byId("update", HTMLDivElement).hidden = false;
    announce("A new version is ready");
  }
}

/** Reloads with the new version. Other tabs keep theirs until they are reloaded. */
async function takeUpdate(): Promise<void> {
  const waiting = (await registered)?.waiting;
  if (!waiting) return location.reload();
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  waiting.postMessage({ type: "activate" } satisfies Ask);
}

function loaded(): Promise<void> {
  if (document.readyState === "complete") return Promise.resolve();
  return new Promise((resolve) => addEventListener("load", () => resolve(), { once: true }));
}

function idle(): Promise<void> {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in globalThis) requestIdleCallback(() => resolve(), { timeout: 2_000 });
    else setTimeout(resolve, 500);
  });
}
