// Checks and times the products with packed matrices in a WebAssembly engine, on one thread.
//
//   node rust/cpu/examples/wasm_kernels.mjs [--chromium] [--check-only] [--baseline] [TYPE…]
//
// Node runs it with relaxed SIMD switched on; `--chromium` takes the browser that tests run in; `--baseline` builds
// without relaxed SIMD. Rates are GMAC/s, medians of 7. The page of `npm run bench -- --page` times the same modules.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openKernels } from "../../../bench/page/kernels.js";
import { main } from "../../../scripts/steps/console.mjs";
import { buildKernels } from "../../../scripts/steps/kernels.mjs";
import { fromRoot } from "../../../scripts/steps/paths.mjs";
import { findChromium } from "../../../scripts/tests/adapters.mjs";

const options = process.argv.slice(2);
const has = (option) => options.includes(option);
const inner = options.find((option) => option.startsWith("--wasm="));

await main(async () => {
  if (inner === undefined) {
    const wasm = await buildKernels(has("--baseline") ? "baseline" : "relaxed");
    const flags = has("--chromium") ? [] : ["--experimental-wasm-relaxed-simd"];
    const again = [...flags, fileURLToPath(import.meta.url), `--wasm=${wasm}`, ...options];
    process.exitCode = spawnSync(process.execPath, again, { stdio: "inherit" }).status ?? 1;
    return;
  }
  const wasm = readFileSync(inner.slice("--wasm=".length));
  if (has("--chromium")) await inChromium(wasm);
  else await measure(await openKernels(wasm));
});

/** Prints the checks and the rates of all instruction sets of a build. */
async function measure(kernels) {
  const only = options.filter((option) => !option.startsWith("--"));
  for (const [set, name] of kernels.sets.entries()) {
    await kernels.check(set);
    console.log(`${name}: all checks pass`);
    if (has("--check-only") || name === "scalar") continue;
    for (const type of kernels.types) {
      if (only.length > 0 && !only.includes(type)) continue;
      const cells = [];
      for (const bits of ["F32", "F16", "BF16"].includes(type) ? [32] : [8, 16, 32]) {
        for (const tokens of [1, 128]) {
          const rate = await kernels.rate({ set, type, tokens, bits });
          cells.push(`${tokens} × ${bits} bit: ${rate.toFixed(1)}`);
        }
      }
      console.log(`  ${type.padEnd(5)} ${cells.join(", ")}`);
    }
  }
}

async function inChromium(wasm) {
  const { chromium } = await import("@playwright/test");
  const executablePath = findChromium() ?? undefined;
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    const script = readFileSync(fromRoot("bench", "page", "kernels.js"), "utf8");
    const { sets, types } = await page.evaluate(
      async ([script, base64]) => {
        const { openKernels } = await import(`data:text/javascript,${encodeURIComponent(script)}`);
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        globalThis.kernels = await openKernels(bytes);
        return { sets: globalThis.kernels.sets, types: globalThis.kernels.types };
      },
      [script, wasm.toString("base64")],
    );
    await measure({
      sets,
      types,
      check: (set) => page.evaluate((set) => globalThis.kernels.check(set), set),
      rate: (product) => page.evaluate((product) => globalThis.kernels.rate(product), product),
    });
  } finally {
    await browser.close();
  }
}
