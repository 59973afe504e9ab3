// npm test [-- rust|web|browser …] [--full]: all tests and checks, or those of the named groups.
// Ends with a line `N passed, N failed`; a missing adapter or browser is a failure.

import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { main, StepError } from "./steps/console.mjs";
import { buildBenchPage } from "./steps/bench-page.mjs";
import { fetchModel } from "./steps/model.mjs";
import { gemma3, smollm2 } from "./steps/models.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { modelsFolder } from "./steps/paths.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildDemo, buildPackage } from "./steps/web.mjs";
import { prepareAdapters } from "./tests/adapters.mjs";
import { kernelChecks, playwright } from "./tests/browser.mjs";
import { checkProse } from "./tests/prose.mjs";
import { cargoTest, checkFormat, clippy, onAdapter } from "./tests/rust.mjs";
import { shaderFolder, validateWithTint } from "./tests/shaders.mjs";
import { Tally } from "./tests/tally.mjs";
import { checkPrettier, oxlint, typeCheck, vitest } from "./tests/typescript.mjs";

const groups = ["rust", "web", "browser"];

function readOptions() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { full: { type: "boolean" } } });
  const unknown = positionals.find((name) => !groups.includes(name));
  if (unknown) throw new StepError(`"${unknown}" is no group of tests`, `choose from: ${groups.join(", ")}`);
  return { full: values.full === true, chosen: new Set(positionals.length ? positionals : groups) };
}

await main(async () => {
  const { full, chosen } = readOptions();
  const tally = new Tally();
  // Read by the Rust tests and by Playwright's configuration.
  if (full) process.env.CHORD_FULL = "1";
  process.env.CHORD_MODELS = modelsFolder;

  let adapters;
  const ready =
    (await tally.check("npm packages", installNodeModules)) &&
    (await tally.check("browser and GPU adapters", async () => {
      adapters = await prepareAdapters();
      return adapters.chromium;
    })) &&
    (await tally.check("model SmolLM2", () => fetchModel(smollm2))) &&
    (await tally.check("model Gemma 3", () => fetchModel(gemma3)));

  if (ready) {
    const built = once(() => tally.check("engine", buildWasm));
    const needsEngine = chosen.has("web") || chosen.has("browser");
    if (chosen.has("rust")) await rust(tally, adapters, needsEngine ? built : () => {});
    if (chosen.has("web")) await web(tally, built);
    if (chosen.has("browser")) await browser(tally, adapters, built);
  }

  tally.summary();
  if (tally.failed > 0) process.exitCode = 1;
});

/** A function that does its work at the first call; every call returns the same promise. */
function once(work) {
  let result;
  return () => (result ??= work());
}

async function rust(tally, adapters, startEngine) {
  await tally.check("cargo fmt", checkFormat);
  await tally.check("cargo clippy", clippy);
  rmSync(shaderFolder, { recursive: true, force: true });
  await tally.check("cargo test, GPU tests on lavapipe", () =>
    cargoTest(
      ["--workspace"],
      { ...onAdapter("lavapipe", adapters.lavapipe), CHORD_SHADER_DUMP: shaderFolder },
      "cargo-test-lavapipe",
    ),
  );
  // Linking the engine keeps one core busy, and so do these tests: side by side they take the time of one.
  const engine = startEngine();
  await tally.check("GPU tests on SwiftShader", () =>
    cargoTest(
      ["--workspace", "--test", "gpu", "--test", "matmul"],
      onAdapter("swiftshader", adapters.swiftshader),
      "cargo-test-swiftshader",
    ),
  );
  await tally.check("shader variants, Tint", validateWithTint);
  await engine;
}

async function web(tally, engine) {
  // The types of the demo and of the browser tests are those of the built package.
  const built = (await engine()) && (await tally.check("package", buildPackage));
  for (const [name, check] of [
    ["tsc", typeCheck],
    ["oxlint", oxlint],
  ]) {
    if (built) await tally.check(name, check);
    else tally.blocked(name, "package");
  }
  await tally.check("prettier", checkPrettier);
  await tally.check("prose", checkProse);
  await tally.check("vitest", vitest);
}

async function browser(tally, adapters, engine) {
  await tally.check("CPU kernels in Chromium", () => kernelChecks(adapters.chromium));
  const built =
    (await engine()) &&
    (await tally.check("package", buildPackage)) &&
    (await tally.check("demo page", buildDemo)) &&
    (await tally.check("bench page", buildBenchPage));
  if (built) await tally.check("Playwright", () => playwright(adapters.chromium));
  else tally.blocked("Playwright", "the pages");
}
