// @ts-check
// The files beside this page; scripts/steps/bench-page.mjs makes them.

/**
 * Fetches one.
 *
 * @param {string} name
 */
export async function fetchFile(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`The server has no ${name}: serve this page by npm run bench -- --page`);
  return response;
}
