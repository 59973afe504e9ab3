/** A template that ends in a trap, as a panic does in WebAssembly: a template error, and the engine continues. */

import { readFileSync } from "node:fs";
import { expect, test } from "@playwright/test";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { tinyChatModel } from "../support/chat-model.ts";
import { openSdk } from "../support/page.ts";

/** `i64.const TEMPLATE_FUEL`, which the engine meets as it begins to render. */
const fuel = Buffer.from([0x42, 0xc0, 0x84, 0x3d]);
/** `unreachable`, and `nop` to the same length. */
const trap = Buffer.from([0x00, 0x01, 0x01, 0x01]);

/** More than fit the stack of 1 MiB, if each left its frames there. */
const requests = 5_000;

for (const artifact of ["chord.wasm", "chord-threads.wasm"]) {
  test(`${artifact}: a template that traps rejects with template-error, and everything else is answered`, async ({
    page,
  }) => {
    await page.route(`**/package/${artifact}`, (route) =>
      route.fulfill({
        body: trapping(readFileSync(fromRoot("web", "dist", artifact))),
        contentType: "application/wasm",
        headers: { "Cross-Origin-Embedder-Policy": "require-corp" },
      }),
    );
    await page.route("**/tiny-chat.gguf", (route) => route.fulfill({ body: tinyChatModel() }));
    await openSdk(page);
    const result = await page.evaluate(
      async ({ artifact, requests }) => {
        const blob = await (await fetch("/tiny-chat.gguf")).blob();
        const only = artifact === "chord.wasm" ? { wasmUrl: `/package/${artifact}` } : {};
        const chord = await sdk.Chord.load(blob, { backend: "cpu", ...only });
        const complete = async () =>
          (await chord.completions.create({ prompt: [1, 2, 3], temperature: 0, max_tokens: 6 })).choices[0]!.text;
        const before = await complete();
        const messages = [{ role: "user" as const, content: "One" }];
        const refusal = (call: Promise<unknown>) =>
          call.then(
            () => "answered",
            ({ code, message }: InstanceType<typeof sdk.ChordError>) => `${code}: ${message}`,
          );
        const chat = await refusal(chord.chat.completions.create({ messages, max_tokens: 2 }));
        const after = await complete();
        const counted = new Set<string>();
        for (let request = 0; request < requests; request++) counted.add(await refusal(chord.countTokens(messages)));
        const last = await complete();
        await chord.unload();
        return { before, chat, after, counted: [...counted], last };
      },
      { artifact, requests },
    );
    expect(result.chat).toMatch(/^template-error: .*the template engine failed \(unreachable\)/);
    expect(result.counted).toEqual([result.chat]);
    expect(result.before).not.toBe("");
    expect([result.after, result.last]).toEqual([result.before, result.before]);
  });
}

/** The module with a trap where rendering begins. */
function trapping(wasm: Buffer): Buffer {
  const broken = Buffer.from(wasm);
  let places = 0;
  for (let at = broken.indexOf(fuel); at >= 0; at = broken.indexOf(fuel, at + 1), places++) trap.copy(broken, at);
  expect(places, "places that know how many steps a template has").toBeGreaterThan(0);
  return broken;
}
