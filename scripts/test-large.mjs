// npm run test:large [-- FILTER …]: models above 4 GiB, and tests of many minutes. Files are made as they are read; one
// of them is written to disk (4.5 GiB, deleted at the end) for the native engine to compare with.

import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { line, main, StepError } from "./steps/console.mjs";
import { fetchModel } from "./steps/model.mjs";
import { smollm2 } from "./steps/models.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { fromRoot, modelsFolder, scratch } from "./steps/paths.mjs";
import { hostCargo } from "./steps/rust.mjs";
import { run } from "./steps/shell.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildPackage } from "./steps/web.mjs";
import { prepareAdapters } from "./tests/adapters.mjs";
import { playwright } from "./tests/browser.mjs";
import { Tally } from "./tests/tally.mjs";

const mebibyte = 1024 * 1024;
/** The model that both engines run: more than 32 bits can address. */
const model = { mebibytes: 4608, type: "Q8_0", vocabulary: 320 };
const tokens = [1, 260, 285, 300, 270, 311, 290, 262];
const prompt = "a b c";
const maxTokens = 4;
const folder = join(scratch, "large");

await main(async () => {
  process.env.CHORD_MODELS = modelsFolder;
  process.env.CHORD_LARGE = folder;
  const filters = process.argv.slice(2);
  const tally = new Tally();
  let adapters;
  const ready =
    (await tally.check("npm packages", installNodeModules)) &&
    (await tally.check("browser", async () => {
      adapters = await prepareAdapters();
      return adapters.chromium;
    })) &&
    (await tally.check("model SmolLM2", () => fetchModel(smollm2))) &&
    (await tally.check("engine", buildWasm)) &&
    (await tally.check("package", buildPackage)) &&
    (await tally.check("native command and generator", buildNative));
  if (ready) {
    const needsNative = filters.length === 0 || filters.some((filter) => "large/wasm64.spec.ts".includes(filter));
    if (!needsNative || (await tally.check("native logits of 4.5 GiB", computeNatively))) {
      await tally.check("Playwright, large", () =>
        playwright(adapters.chromium, ["--config", "large/playwright.config.ts", ...filters], tell),
      );
    }
  }
  tally.summary();
  if (tally.failed > 0) process.exitCode = 1;
});

/** Each of these tests takes long enough for a separate line. */
function tell({ title, ok, milliseconds, notes }) {
  const seconds = `${(milliseconds / 1000).toFixed(1)} s`.padStart(8);
  line(`${ok ? "ok  " : "FAIL"} ${seconds}    ${[title, ...notes].join("\n                   ")}`);
}

async function buildNative() {
  const { cargo, env } = await hostCargo();
  await run(cargo, ["build", "--release", "-p", "chord-cli", "-p", "chord-testkit", "--bins"], {
    env,
    log: "cargo-large",
  });
}

async function computeNatively() {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "model.gguf");
  const { bavail, bsize } = statfsSync(folder);
  const needed = (model.mebibytes + 1024) * mebibyte;
  if (bavail * bsize < needed) {
    throw new StepError(
      `${Math.round((bavail * bsize) / mebibyte)} MiB are free in ${folder}`,
      `make room for ${Math.round(needed / mebibyte)} MiB, or set CARGO_TARGET_DIR to a larger disk`,
    );
  }
  try {
    const program = (name) => fromRoot("target", "release", name);
    await run(program("synthetic-gguf"), ["write", String(model.mebibytes), model.type, file]);
    const device = ["--backend", "cpu", "--ctx", "64"];
    const out = join(folder, "logits.f32");
    await run(program("chord"), ["logits", file, ...device, "--tokens", tokens.join(","), "--out", out], {
      log: "large-logits",
    });
    const generation = ["--raw", "--json", "--prompt", prompt, "-n", String(maxTokens)];
    const { output } = await run(program("chord"), ["run", file, ...device, ...generation], { log: "large-run" });
    const { text } = JSON.parse(output.slice(output.indexOf("{")));
    writeFileSync(join(folder, "native.json"), JSON.stringify({ ...model, tokens, prompt, maxTokens, text }));
  } finally {
    rmSync(file, { force: true });
  }
}
