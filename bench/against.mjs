// @ts-check
// Compares this working tree with another revision: builds both, runs them alternately, prints the ratios of their
// rates.

import { cpSync, existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { line, step, StepError } from "../scripts/steps/console.mjs";
import { fetchModel } from "../scripts/steps/model.mjs";
import { smollm2 } from "../scripts/steps/models.mjs";
import { installNodeModules, npm } from "../scripts/steps/node-modules.mjs";
import { fromRoot, root } from "../scripts/steps/paths.mjs";
import { hostCargo } from "../scripts/steps/rust.mjs";
import { run } from "../scripts/steps/shell.mjs";
import { buildWasm } from "../scripts/steps/wasm.mjs";
import { buildPackage } from "../scripts/steps/web.mjs";
import { defaultPort, inBrowser } from "./browser.mjs";
import { runChord } from "./native.mjs";
import { makePrompts } from "./prompts.mjs";
import { decodeRate, prefillRate } from "./samples.mjs";
import { runInPage } from "./speed.mjs";
import { figure, median, table } from "./statistics.mjs";

/**
 * @import { Page } from "@playwright/test"
 * @import { Options } from "./options.mjs"
 * @import { Prompt } from "./page/side.js"
 * @typedef {{ prefill: number, decode: number }} Rates tokens per second
 * @typedef {{ name: string, root: string, target: string }} Side a source tree, and where cargo builds it
 * @typedef {{ here: Rates, there: Rates }} Pair two runs, one directly after the other
 * @typedef {(threads: number, prompt: number, round: number) => Promise<Pair[]>} Round
 * @typedef {{ model: string, threads: number, prompt: number, kind: "prefill" | "decode", here: number, there: number,
 *   ratio: number, ratios: number[] }} Row
 */

const folder = (/** @type {string[]} */ ...parts) => fromRoot("target", "against", ...parts);
const program = process.platform === "win32" ? "chord.exe" : "chord";

/** Random weights in Q4_K_M, made by `chord bench` itself. */
const SHAPE = "tinyllama-1.1b";
/** Tokens of a run that does not count: it compiles code and touches memory pages. */
const WARM_UP = 16;
/** Prompts of a round in a tab: pages of one package differ more from each other than its prompts in one page. */
const PROMPTS_OF_PAGE = 5;

/** @param {Options} options */
export async function measureAgainst(options) {
  const here = { name: "here", root, target: fromRoot("target") };
  const there = { name: options.against ?? "", root: folder("source"), target: folder("build") };
  await step(`revision ${there.name}`, () => checkOut(there));
  if (!options.ownModel) await step("model SmolLM2", () => fetchModel(smollm2));
  const rows = options.tab ? await inTabs(here, there, options) : await natively(here, there, options);

  line(`\n${there.name} beside the working tree, ${options.repeat} rounds, tokens per second`);
  line(toTable(rows));
  const { atLeast } = options;
  const slow = rows.filter(({ ratio }) => atLeast !== null && ratio < atLeast);
  for (const { model, threads, prompt, kind, ratio } of slow) {
    line(`FAIL ${model}, ${threads} threads, ${kind} of ${prompt}: ${figure(ratio)} × is below ${atLeast}`);
  }
  if (slow.length > 0) process.exitCode = 1;
  return { against: there.name, repeat: options.repeat, atLeast, rows };
}

/**
 * The revision in a worktree, which is kept for the next comparison.
 *
 * @param {Side} side
 */
async function checkOut(side) {
  const git = async (/** @type {string[]} */ ...args) => (await run("git", args, { log: "against-git" })).output.trim();
  const commit = await git("rev-parse", "--verify", `${side.name}^{commit}`).catch((error) => {
    throw new StepError(`there is no revision ${side.name}`, "fetch it, or name another", { cause: error });
  });
  if (existsSync(side.root)) await git("-C", side.root, "checkout", "--quiet", "--detach", commit);
  else await git("worktree", "add", "--quiet", "--detach", side.root, commit);
  return commit.slice(0, 12);
}

/**
 * @param {Side} here
 * @param {Side} there
 * @param {Options} options
 */
async function natively(here, there, options) {
  for (const side of [here, there]) await step(`chord of ${side.name}`, () => buildChord(side));
  const models = options.ownModel ? [[options.model]] : [[options.model], ["--shape", SHAPE, "--quant", "Q4_K_M"]];
  const rows = [];
  for (const model of models) {
    /** @type {Round} */
    const round = async (threads, prompt, n) => [
      await inTurn(n, here, there, async (side) => runChord(chordOf(side), model, options, threads, prompt)),
    ];
    rows.push(...(await takeTurns(model.length === 1 ? basename(options.model) : SHAPE, options, round)));
  }
  return rows;
}

const chordOf = (/** @type {Side} */ { target }) => join(target, "release", program);

/** @param {Side} side */
async function buildChord(side) {
  const { cargo, env } = await hostCargo();
  const settings = { ...env, CARGO_TARGET_DIR: side.target };
  await run(cargo, ["build", "--release", "-p", "chord-cli"], { cwd: side.root, env: settings, log: "against-cargo" });
}

/**
 * The packages of both, each in a browser of its own. Every round opens both anew and gives them the same prompts.
 *
 * @param {Side} here
 * @param {Side} there
 * @param {Options} options
 */
async function inTabs(here, there, options) {
  await step("npm packages", installNodeModules);
  await step("package of here", async () => void (await buildWasm(), await buildPackage()));
  await step(`package of ${there.name}`, () => buildPackageOf(there));
  const nCtx = Math.max(...options.prompts) + options.tokens + 8;
  const lengths = [...new Set([WARM_UP, ...options.prompts])];
  // No page gets a prompt twice, so none has computed it before.
  const { result: prompts } = await inBrowser(options.model, (page, url) =>
    makePrompts(page, url, lengths, PROMPTS_OF_PAGE + 1),
  );
  const promptOf = (/** @type {number} */ length, /** @type {number} */ n) =>
    /** @type {Prompt} */ (prompts.get(length)?.[n]);

  /** @type {Round} */
  const round = async (threads, prompt, n) => {
    /** @type {Map<Side, Page>} */
    const pages = new Map();
    const request = { threads, nCtx, activations: options.activations };
    const open = async (/** @type {Side} */ side, /** @type {Page} */ page, /** @type {string} */ url) => {
      await page.evaluate((request) => bench.chord.load(request), { url, ...request });
      await runInPage(page, "chord", promptOf(WARM_UP, PROMPTS_OF_PAGE), 4);
      pages.set(side, page);
    };
    const measure = async (/** @type {Side} */ side, /** @type {Prompt} */ given) => {
      const page = /** @type {Page} */ (pages.get(side));
      const sample = await runInPage(page, "chord", given, options.tokens + 1);
      return { prefill: prefillRate(sample), decode: decodeRate(sample) };
    };
    const compared = async () => {
      const pairs = [];
      for (let k = 0; k < PROMPTS_OF_PAGE; k++) {
        pairs.push(await inTurn(n + k, here, there, (side) => measure(side, promptOf(prompt, k))));
      }
      return pairs;
    };
    const { result } = await inBrowser(options.model, async (page, url) => {
      await open(here, page, url);
      const second = { source: there.root, port: defaultPort + 1 };
      return inBrowser(options.model, async (page, url) => (await open(there, page, url), compared()), second);
    });
    return result.result;
  };
  return takeTurns(basename(options.model), options, round);
}

/**
 * Builds a package with the scripts of its own revision, and with our npm packages where they are the same.
 *
 * @param {Side} side
 */
async function buildPackageOf(side) {
  const lock = (/** @type {string} */ from) => readFileSync(join(from, "package-lock.json"), "utf8");
  const modules = join(side.root, "node_modules");
  if (!existsSync(modules)) {
    if (lock(side.root) === lock(root)) {
      // npm's links to the workspaces are relative, so they lead to this revision's workspaces.
      cpSync(fromRoot("node_modules"), modules, { recursive: true, verbatimSymlinks: true });
    } else {
      await npm(["ci", "--no-audit", "--no-fund"], { cwd: side.root, log: "against-npm" });
    }
  }
  await run(process.execPath, ["scripts/build.mjs", "wasm", "web"], { cwd: side.root, log: "against-package" });
}

/**
 * Two runs that follow each other directly: what slows the machine down slows both.
 *
 * @param {number} n whose turn it is to be first
 * @param {Side} here
 * @param {Side} there
 * @param {(side: Side) => Promise<Rates>} measure
 * @returns {Promise<Pair>}
 */
async function inTurn(n, here, there, measure) {
  if (n % 2 === 0) return { here: await measure(here), there: await measure(there) };
  const first = await measure(there);
  return { here: await measure(here), there: first };
}

/**
 * @param {string} model
 * @param {Options} options
 * @param {Round} round
 * @returns {Promise<Row[]>}
 */
async function takeTurns(model, options, round) {
  /** @type {Row[]} */
  const rows = [];
  for (const threads of options.threads) {
    for (const prompt of options.prompts) {
      /** @type {Pair[]} */
      const pairs = [];
      for (let n = 0; n < options.repeat; n++) pairs.push(...(await round(threads, prompt, n)));
      for (const kind of /** @type {const} */ (["prefill", "decode"])) {
        const ratios = pairs.map(({ here, there }) => here[kind] / there[kind]);
        const [here, there] = [pairs.map(({ here }) => here[kind]), pairs.map(({ there }) => there[kind])];
        const medians = { here: median(here), there: median(there), ratio: median(ratios) };
        rows.push({ model, threads, prompt, kind, ...medians, ratios });
      }
    }
  }
  return rows;
}

/** @param {Row[]} rows */
function toTable(rows) {
  const head = ["model", "threads", "what", "here", "there", "ratio", "range"];
  const cells = rows.map(({ model, threads, prompt, kind, here, there, ratio, ratios }) => {
    const range = `${figure(Math.min(...ratios))} to ${figure(Math.max(...ratios))}`;
    const what = kind === "prefill" ? `prefill ${prompt}` : `decode`;
    return [model, String(threads), what, figure(here), figure(there), `${figure(ratio)} ×`, range];
  });
  return table(head, cells);
}
