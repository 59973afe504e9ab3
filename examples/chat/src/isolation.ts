/** Cross-origin isolation, for CPU threads, on hosts that do not send its headers: a service worker adds them. */

/** Noted for the length of the visit, so that a host or a browser that will not be helped costs one reload. */
const TRIED = "isolation-tried";

/**
 * Registers the service worker where the page is not isolated, and reloads the page once it can be. On later visits it is
 * there from the start. `mayReload` is asked at the last moment.
 */
export async function isolate(mayReload: () => boolean): Promise<void> {
  if (crossOriginIsolated || !isSecureContext || !("serviceWorker" in navigator)) return;
  try {
    if (sessionStorage.getItem(TRIED) !== null) return;
    sessionStorage.setItem(TRIED, "yes");
    await navigator.serviceWorker.register(new URL("isolation.js", document.baseURI));
    await navigator.serviceWorker.ready;
    if (mayReload()) location.reload();
  } catch {
    // Storage or service workers are blocked: the CPU has one thread.
  }
}
