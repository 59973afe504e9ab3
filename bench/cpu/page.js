// @ts-check
// The page: what it shows of the machine, which model it takes, one run of all measurements, the report.

import { Chord } from "@querent-ai/wasm-chord";
import { measureCeilings } from "./ceilings.js";
import { fetchFile } from "./files.js";
import { measureKernels } from "./kernels.js";
import { examine } from "./machine.js";
import { problem } from "./problem.js";
import { element, toElement, toMarkdown } from "./report.js";
import { settings } from "./settings.js";
import { measureTokens } from "./tokens.js";

/**
 * @import { Machine } from "./machine.js"
 * @import { Section } from "./report.js"
 */

/** @type {Machine | undefined} */
let machine;
/** @type {Section[]} */
let measured = [];
let date = "";
/** @type {File | undefined} */
let own;
/** @type {{ title: string, source: string, bytes: number } | undefined} */
let served;

const dark = matchMedia("(prefers-color-scheme: dark)");
const applyTheme = () => (document.documentElement.dataset.theme = dark.matches ? "dark" : "light");
dark.addEventListener("change", applyTheme);
applyTheme();

byId("measure").addEventListener("click", () => void measure());
byId("copy").addEventListener("click", () => void copy());
input("processor").addEventListener("input", writeReport);
input("file").addEventListener("change", () => void takeFile());
void start();

async function start() {
  try {
    const about = await (await fetchFile("about.json")).json();
    byId("issues").textContent = about.issues;
    byId("issues").setAttribute("href", about.issues);
    await offerServed();
    machine = await examine(about);
    const facts = machine.facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]);
    byId("facts").replaceChildren(...facts);
    if (machine.threads === 1) show("notice", `The engine computes on one thread here: ${machine.why}.`);
    say("");
    button("measure").disabled = false;
  } catch (error) {
    say("");
    show("problem", problem(error));
  }
}

/** The server's own model, if it has one. */
async function offerServed() {
  const list = await fetchFile("models.json").catch(() => undefined);
  served = (await list?.json())?.models[0];
  if (!served) return;
  byId("served-title").textContent = `${served.title}, ${(served.bytes / 1e6).toFixed(0)} MB`;
  byId("served").hidden = false;
  choose("served");
}

/** Looks into the file that was chosen: what cannot run is said before anything is measured. */
async function takeFile() {
  const file = input("file").files?.[0];
  if (!file) return;
  show("file-problem", "");
  try {
    const { verdict } = await Chord.inspect(file, { backend: "cpu" });
    if (verdict.kind === "unsupported") throw new Error(`${file.name} cannot run here: ${verdict.why}`);
    own = file;
    byId("own-title").textContent = `${file.name}, ${(file.size / 1e6).toFixed(0)} MB`;
    byId("own").hidden = false;
    choose("own");
  } catch (error) {
    show("file-problem", problem(error));
  }
}

/** @param {"served" | "own"} model */
function choose(model) {
  /** @type {HTMLInputElement} */ (document.querySelector(`input[value=${model}]`)).checked = true;
}

/** The model to measure; one of the server is fetched once, for all loads, and because of pages without https. */
async function chosenModel() {
  const checked = /** @type {HTMLInputElement} */ (document.querySelector("input[name=model]:checked"));
  if (checked.value === "own") return own;
  if (checked.value !== "served" || !served) return undefined;
  say(`Fetching ${served.title}`);
  const response = await fetch(new URL(served.source, location.href));
  if (!response.ok) throw new Error(`The server has no ${served.title}: status ${response.status}`);
  return new File([await response.blob()], served.source.replace(/.*\//, ""));
}

async function measure() {
  if (!machine) return;
  const on = machine;
  button("measure").disabled = true;
  byId("report-section").hidden = true;
  byId("results").replaceChildren();
  measured = [];
  date = new Date().toISOString();
  await part("Ceilings", () => measureCeilings(on, settings, say));
  await part("Products of the engine", () => measureKernels(on, settings, say));
  await part("Tokens per second", async () => {
    const file = await chosenModel();
    if (file) return measureTokens(file, on, settings, say);
    return { title: "Tokens per second", head: [], rows: [], notes: ["Not measured: no model was chosen."] };
  });
  say("");
  writeReport();
  byId("report-section").hidden = false;
  button("measure").disabled = false;
}

/**
 * One part of the run. If it fails, the others are measured all the same.
 *
 * @param {string} title
 * @param {() => Promise<Section>} work
 */
async function part(title, work) {
  /** @type {Section} */
  const section = await work().catch((error) => ({ title, head: [], rows: [], notes: [problem(error)] }));
  measured.push(section);
  byId("results").append(toElement(section));
}

function writeReport() {
  if (!machine || measured.length === 0) return;
  const processor = input("processor").value.trim() || "not given";
  const facts = [["Processor", processor], ...machine.facts, ["Date", date]];
  const notes = settings.quick ? ["A quick run: its figures only show that everything runs."] : [];
  const about = { title: "wasm-chord on the CPU", head: ["", ""], rows: facts, notes };
  textArea().value = toMarkdown([about, ...measured]);
}

/** Browsers offer the clipboard to https and localhost only; the older way works wherever text can be selected. */
async function copy() {
  const report = textArea();
  const isCopied = await navigator.clipboard?.writeText(report.value).then(
    () => true,
    () => false,
  );
  if (!isCopied) report.select();
  // oxlint-disable-next-line typescript/no-deprecated -- nothing else copies on a page without https
  const done = isCopied || document.execCommand("copy");
  byId("copied").textContent = done ? "Copied." : "The report is selected: copy it with the browser's menu.";
}

/** @param {string} text */
function say(text) {
  byId("progress").textContent = text;
}

/**
 * @param {"problem" | "notice" | "file-problem"} id
 * @param {string} text none hides it
 */
function show(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = text === "";
}

/** @param {string} id */
function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/** @param {string} id */
function input(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

/** @param {string} id */
function button(id) {
  return /** @type {HTMLButtonElement} */ (byId(id));
}

function textArea() {
  return /** @type {HTMLTextAreaElement} */ (byId("report"));
}
