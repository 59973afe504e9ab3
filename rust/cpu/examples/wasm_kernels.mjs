// Checks and times the products with packed matrices in a WebAssembly engine, on one thread.
//
//   node rust/cpu/examples/wasm_kernels.mjs [--chromium] [--check-only] [--baseline] [TYPE…]
//
// Node runs it with relaxed SIMD switched on; `--chromium` takes the browser that tests run in; `--baseline` builds
// without relaxed SIMD. Rates are GMAC/s, medians of 7.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromRoot } from "../../../scripts/steps/paths.mjs";
import { wasmToolchain } from "../../../scripts/steps/rust.mjs";
import { findChromium } from "../../../scripts/tests/adapters.mjs";

const options = new Set(process.argv.slice(2));
const target = "wasm32-unknown-unknown";
const folder = fromRoot("target", options.has("--baseline") ? "wasm-kernels-baseline" : "wasm-kernels");

if (!options.has("--inner")) {
  const features = options.has("--baseline") ? "+simd128" : "+simd128,+relaxed-simd";
  const rust = await wasmToolchain({ target, ownStd: false });
  const cargo = ["build", "--release", "-p", "chord-cpu", "--example", "wasm_kernels", "--target", target];
  const built = spawnSync(rust.cargo, [...cargo, ...rust.args], {
    cwd: fromRoot(),
    stdio: "inherit",
    env: { ...process.env, ...rust.env, RUSTFLAGS: `-C target-feature=${features}`, CARGO_TARGET_DIR: folder },
  });
  if (built.status !== 0) process.exit(built.status ?? 1);
  const flags = options.has("--chromium") ? [] : ["--experimental-wasm-relaxed-simd"];
  const inner = spawnSync(process.execPath, [...flags, fileURLToPath(import.meta.url), "--inner", ...options], {
    stdio: "inherit",
  });
  process.exit(inner.status ?? 1);
}

const wasm = readFileSync(`${folder}/${target}/release/examples/wasm_kernels.wasm`);
const plan = { checkOnly: options.has("--check-only"), only: [...options].filter((option) => !option.startsWith("--")) };

const lines = options.has("--chromium") ? await inChromium() : await measure(wasm, plan);
console.log(lines.join("\n"));

async function inChromium() {
  const { chromium } = await import("@playwright/test");
  const executablePath = findChromium() ?? undefined;
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    const source = `(${measure.toString()})(Uint8Array.from(atob("${wasm.toString("base64")}"), (c) => c.charCodeAt(0)), ${JSON.stringify(plan)})`;
    return await page.evaluate(source);
  } finally {
    await browser.close();
  }
}

/** Self-contained: it also runs in a page. */
async function measure(bytes, { checkOnly, only }) {
  const [rows, cols] = [1536, 1536];
  const { instance } = await WebAssembly.instantiate(bytes, {});
  const wasm = instance.exports;
  const message = () =>
    new TextDecoder().decode(new Uint8Array(wasm.memory.buffer, wasm.message_at(), wasm.message_length()));
  const report = [];
  wasm.start();
  const sets = message().split(" ");
  wasm.types();
  const types = message()
    .split(" ")
    .map((type) => type.split("="));
  for (const [isa, name] of sets.entries()) {
    try {
      wasm.check(isa);
    } catch (error) {
      throw new Error(`${name}: ${message() || error}`, { cause: error });
    }
    report.push(`${name}: all checks pass`);
    if (checkOnly || name === "scalar") continue;
    for (const [type, id] of types) {
      if (only.length > 0 && !only.includes(type)) continue;
      const cells = [];
      for (const [tokens, bits] of [
        [1, 8],
        [128, 8],
        [1, 16],
        [128, 16],
        [1, 32],
        [128, 32],
      ]) {
        if (bits < 32 && ["F32", "F16", "BF16"].includes(type)) continue;
        wasm.prepare(isa, Number(id), rows, cols, tokens, bits);
        // Engines compile code again, and better, once it has run for a while.
        let start = performance.now();
        let warm = 0;
        while (performance.now() - start < 250) {
          wasm.run(1);
          warm++;
        }
        const times = Math.max(1, Math.round((30 * warm) / (performance.now() - start)));
        const taken = [];
        for (let i = 0; i < 7; i++) {
          start = performance.now();
          wasm.run(times);
          taken.push((performance.now() - start) / times);
        }
        taken.sort((a, b) => a - b);
        cells.push(`${tokens} × ${bits} bit: ${((tokens * rows * cols) / taken[3] / 1e6).toFixed(1)}`);
      }
      report.push(`  ${type.padEnd(5)} ${cells.join(", ")}`);
    }
  }
  return report;
}
