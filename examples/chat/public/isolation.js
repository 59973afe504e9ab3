// A service worker for hosts that cannot set headers: it adds those of cross-origin isolation, which CPU threads need, to
// the page and its workers. Everything else passes by untouched: downloads, whatever their origin, are not its business.
//
// `require-corp` rather than `credentialless`, which Safari does not know: all that the page takes from other origins
// are models, and those it asks for by CORS.

const headersOfIsolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

const environments = new Set(["document", "iframe", "worker", "sharedworker"]);

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const isOwn = new URL(request.url).origin === self.location.origin;
  if (isOwn && environments.has(request.destination)) event.respondWith(isolated(request));
});

async function isolated(request) {
  const response = await fetch(request);
  // Redirections are the browser's to follow.
  if (response.type === "opaqueredirect" || response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(headersOfIsolation)) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
