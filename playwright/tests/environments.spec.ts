/** Where the package can be imported, and where its calls work: workers of any kind, and Node. */

import { execFileSync } from "node:child_process";
import { expect, type Page, test } from "@playwright/test";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { openSdk } from "../support/page.ts";

type Scope = "Worker" | "Worker of a Blob" | "SharedWorker" | "ServiceWorker";

/** Calls the package in a worker of the page. */
function callIn(page: Page, scope: Scope, call: string) {
  return page.evaluate(
    async ({ scope, call }) => {
      const script = new URL("scope.js", location.href).href;
      const options = { type: "module", name: crypto.randomUUID() } as const;
      const answered = (target: Worker | MessagePort | ServiceWorkerContainer) =>
        new Promise<{ result?: unknown; error?: { code: string; details: unknown }; message?: string }>((resolve) => {
          target.addEventListener("message", (event) => resolve((event as MessageEvent).data));
        });
      if (scope === "ServiceWorker") {
        const { installing, active } = await navigator.serviceWorker.register(script, { type: "module" });
        const answer = answered(navigator.serviceWorker);
        navigator.serviceWorker.startMessages();
        (installing ?? active)!.postMessage(call);
        return answer;
      }
      if (scope === "SharedWorker") {
        const { port } = new SharedWorker(script, options);
        const answer = answered(port);
        port.start();
        port.postMessage(call);
        return answer;
      }
      // The module begins to listen after the message was sent; the message waits for it.
      const code = URL.createObjectURL(new Blob([`import "${script}";`], { type: "text/javascript" }));
      const worker = new Worker(scope === "Worker" ? script : code, options);
      const answer = answered(worker);
      worker.postMessage(call);
      return answer.finally(() => worker.terminate());
    },
    { scope, call },
  );
}

for (const scope of ["Worker", "Worker of a Blob"] as const) {
  test(`everything works in a dedicated ${scope}, which has no document`, async ({ page }) => {
    await openSdk(page);
    expect(await callIn(page, scope, "load")).toEqual({ result: { tokens: 4, threads: 2 } });
    expect(await callIn(page, scope, "inspect")).toEqual({ result: "llama" });
    expect(await callIn(page, scope, "capabilities")).toEqual({ result: true });
    expect(await callIn(page, scope, "list")).toEqual({ result: expect.any(Number) });
  });
}

for (const scope of ["SharedWorker", "ServiceWorker"] as const) {
  test(`a ${scope} can look at the store, and is told that no model can be loaded there`, async ({ page }) => {
    await openSdk(page);
    expect(await callIn(page, scope, "capabilities")).toEqual({ result: true });
    expect(await callIn(page, scope, "list")).toEqual({ result: expect.any(Number) });
    for (const call of ["load", "inspect"]) {
      expect(await callIn(page, scope, call)).toMatchObject({
        error: { code: "needs-browser", details: { lacking: "Worker", scope: `${scope}GlobalScope` } },
      });
    }
  });
}

test("Node can import the built package, and every call is rejected", () => {
  const script = `
    const { Chord, ChordError } = await import(process.argv[1]);
    const calls = Object.entries(Chord.cache).map(([name, call]) => ["cache." + name, () => call("model.gguf", "name")]);
    for (const name of ["load", "inspect", "capabilities"]) calls.push([name, () => Chord[name]("model.gguf")]);
    const found = {};
    for (const [name, call] of calls) {
      found[name] = await call().then(
        () => "done",
        (error) => [error instanceof ChordError, error.code, error.message, error.details],
      );
    }
    console.log(JSON.stringify(found));`;
  const entry = new URL(`file://${fromRoot("web", "dist", "index.js")}`).href;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script, entry], { encoding: "utf8" });
  const found = Object.entries(JSON.parse(output) as Record<string, unknown>);
  expect(found.length).toBeGreaterThanOrEqual(11);
  for (const [name, answer] of found) {
    const message = expect.stringMatching(/needs a browser.*Node\.js/);
    expect(answer, name).toEqual([true, "needs-browser", message, { runtime: `Node.js ${process.versions.node}` }]);
  }
});
