/**
 * Keeps the page for use without a network, and isolates it (COOP, COEP: CPU threads need both) where its host sends no
 * such headers. A scope has only one service worker, so this one does both.
 *
 * Each version of the page has its own cache, filled before the version is used. Names of files hold the hash of
 * their content, and a tab that is older than this worker gets its files from its own version's cache, which stays
 * while the tab does. So no tab ever has a worker of one version and an engine of another.
 */

import type { ArtifactName } from "@querent-ai/wasm-chord";
import { type Ask, type Shell, versionName, versionPrefix } from "./protocol.js";

declare const self: ServiceWorkerGlobalScope;
/** Inserted by the build. */
declare const __SHELL__: Shell;

const shell = __SHELL__;
const scope = new URL(self.registration.scope);
const prefix = versionPrefix(scope.href);
const ownCache = versionName(scope.href, shell.version);
/** Fetched again at each visit, and kept for visits without a network. */
const changing = `wasm-chord-list ${scope.pathname}`;
/** The host's list of models belongs to no version: the host may replace it at any time. */
const LIST = "models.json";
/** If the list takes longer than this, the one of the last visit is used. */
const LIST_MS = 3_000;

/**
 * `require-corp` rather than `credentialless`, which Safari does not support: the page fetches only models from other
 * origins, and those by CORS.
 */
const isolation: [string, string][] = [
  ["Cross-Origin-Opener-Policy", "same-origin"],
  ["Cross-Origin-Embedder-Policy", "require-corp"],
  ["Cross-Origin-Resource-Policy", "same-origin"],
];

let keeping: AbortController | undefined;

self.addEventListener("install", (event) => event.waitUntil(install()));

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const path = pathOf(request);
  if (path === undefined) return;
  if (request.mode === "navigate") {
    // Of all documents only the page: whatever else the host has in this folder is not ours.
    if (path === "" || path === "index.html") event.respondWith(isolated("", request));
  } else if (path === LIST) {
    event.respondWith(list(request));
  } else if (path.startsWith("assets/") || shell.files.includes(path)) {
    event.respondWith(isolated(path, request));
  }
});

self.addEventListener("message", (event) => {
  const answer = (value: unknown) => event.ports[0]?.postMessage(value);
  const ask = event.data as Ask;
  switch (ask.type) {
    case "version":
      return answer(shell.version);
    case "activate":
      return event.waitUntil(self.skipWaiting());
    case "keep":
      return event.waitUntil(keep(ask.artifacts).then(answer, () => answer(false)));
    case "rest":
      keeping?.abort();
  }
});

/** The path of a request for a file of this page's folder, relative to it. */
function pathOf({ method, url, headers }: Request): string | undefined {
  const { origin, pathname } = new URL(url);
  const isOwn = origin === scope.origin && pathname.startsWith(scope.pathname);
  return isOwn && method === "GET" && !headers.has("Range") ? pathname.slice(scope.pathname.length) : undefined;
}

function urlOf(path: string): string {
  return new URL(path, scope).href;
}

/** Fetches the page's files. An artifact that was offline before is also offline in its new version. */
async function install(): Promise<void> {
  const versions = await versionCaches();
  const had: string[] = [];
  for (const [name, path] of Object.entries(shell.artifacts)) {
    const form = formOf(name as ArtifactName);
    const kept = await Promise.all(
      versions.map(async (cache) => (await (await caches.open(cache)).keys()).map(toPath)),
    );
    if (kept.flat().some((other) => form.test(other))) had.push(path);
  }
  const cache = await caches.open(ownCache);
  await Promise.all([...shell.files, ...had].map((path) => add(cache, path)));
  const page = await cache.match(urlOf(""));
  // A host in the middle of an update may still serve the previous page.
  if (!(await page?.text())?.includes(shell.version)) {
    await caches.delete(ownCache);
    throw new Error("The host serves another version of the page than of its service worker");
  }
}

function toPath({ url }: Request): string {
  return new URL(url).pathname.slice(scope.pathname.length);
}

/** The names that an artifact has in all versions. */
function formOf(artifact: ArtifactName): RegExp {
  const name = artifact === "baseline" ? "chord" : `chord-${artifact}`;
  return new RegExp(`^assets/${name}-[\\w-]{8}\\.wasm$`);
}

/** Puts a file into this version's cache: from another version's, if that has it, else from the network. */
async function add(cache: Cache, path: string, signal?: AbortSignal): Promise<void> {
  const url = urlOf(path);
  if (await cache.match(url)) return;
  const hasHash = path.startsWith("assets/");
  const known = hasHash ? await fromAnyVersion(url) : undefined;
  const response = known ?? (await fetch(url, { cache: hasHash ? "default" : "no-cache", signal: signal ?? null }));
  if (!isFile(path, response)) throw new Error(`${url} answered ${response.status}`);
  await cache.put(url, plain(response));
}

/** False for a page in place of a file: some hosts answer with one, and 200, if they have no such file. */
function isFile(path: string, { ok, headers }: Response): boolean {
  return ok && (path === "" || !/^text\/html/i.test(headers.get("Content-Type") ?? ""));
}

/**
 * A response to keep: answers to navigations must not report redirections that the browser did not follow, and there
 * is one form of each file, whatever it varied with.
 */
function plain({ body, status, statusText, headers: sent }: Response): Response {
  const headers = new Headers(sent);
  headers.delete("Vary");
  return new Response(body, { status, statusText, headers });
}

async function keep(artifacts: ArtifactName[]): Promise<boolean> {
  keeping?.abort();
  const { signal } = (keeping = new AbortController());
  const cache = await caches.open(ownCache);
  for (const name of artifacts) await add(cache, shell.artifacts[name], signal);
  await forgetVersions();
  return true;
}

/** Deletes the caches of versions that no tab runs any more. */
async function forgetVersions(): Promise<void> {
  // Without locks it is unknown which versions have tabs.
  if (!("locks" in navigator)) return;
  const { held = [] } = await navigator.locks.query();
  const inUse = new Set(held.map(({ name }) => name));
  const waiting = self.registration.waiting ?? self.registration.installing;
  // A waiting version may be filling its cache, and no tab holds its lock yet.
  if (waiting) return;
  for (const cache of await versionCaches()) {
    if (cache !== ownCache && !inUse.has(cache)) await caches.delete(cache);
  }
}

/** This version's cache and then those of others. */
async function versionCaches(): Promise<string[]> {
  const names = (await caches.keys()).filter((name) => name.startsWith(prefix));
  return names.sort((a, b) => Number(b === ownCache) - Number(a === ownCache));
}

async function fromAnyVersion(url: string): Promise<Response | undefined> {
  for (const name of await versionCaches()) {
    const kept = await (await caches.open(name)).match(url);
    if (kept) return kept;
  }
  return undefined;
}

/** A file of the page, with the headers of isolation if it is a document or a worker. */
async function isolated(path: string, request: Request): Promise<Response> {
  const response = (await fromAnyVersion(urlOf(path))) ?? (await fetchAndKeep(path, request));
  // The browser follows redirections itself.
  if (response.type === "opaqueredirect" || response.status === 0) return response;
  if (!["document", "iframe", "worker", "sharedworker"].includes(request.destination)) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of isolation) if (!headers.has(name)) headers.set(name, value);
  const { body, status, statusText } = response;
  return new Response(body, { status, statusText, headers });
}

async function fetchAndKeep(path: string, request: Request): Promise<Response> {
  const response = await fetch(request);
  const isOurs = Object.values(shell.artifacts).includes(path);
  if (isOurs && isFile(path, response)) {
    const copy = response.clone();
    void caches
      .open(ownCache)
      .then((cache) => cache.put(urlOf(path), plain(copy)))
      .catch(() => undefined);
  }
  return response;
}

async function list(request: Request): Promise<Response> {
  const cache = await caches.open(changing);
  const fresh = fetch(request).then(async (response) => {
    if (isFile(LIST, response)) await cache.put(urlOf(LIST), plain(response.clone()));
    return response;
  });
  const kept = await cache.match(urlOf(LIST));
  if (!kept) return fresh;
  const late = new Promise<Response>((resolve) => setTimeout(resolve, LIST_MS, kept));
  return Promise.race([fresh.catch(() => kept), late]);
}
