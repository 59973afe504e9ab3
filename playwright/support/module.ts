/** One module of the demo on a separate page. */

import type { Page } from "@playwright/test";
import { build } from "vite";
import { fromRoot } from "../../scripts/steps/paths.mjs";

/** Scripts that were built, by file and name. */
const scripts = new Map<string, Promise<string>>();

/** Builds a module of `examples/chat/src` and puts what it exports on the page as `globalThis[name]`. */
export async function addDemoModule(page: Page, file: string, name: string): Promise<void> {
  const key = `${file} ${name}`;
  const script = scripts.get(key) ?? buildDemoModule(file, name);
  scripts.set(key, script);
  await page.addScriptTag({ content: `${await script}; globalThis.${name} = ${name}` });
}

async function buildDemoModule(file: string, name: string): Promise<string> {
  const entry = fromRoot("examples", "chat", "src", file);
  const built = await build({
    configFile: false,
    logLevel: "error",
    root: fromRoot("examples", "chat"),
    build: { write: false, lib: { entry, formats: ["iife"], name } },
  });
  const [result] = Array.isArray(built) ? built : [built];
  return result && "output" in result ? result.output[0].code : "";
}
