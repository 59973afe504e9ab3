/** System prompt, sampling, and options of the next load; kept across visits. */

import { byId, create } from "./dom.js";
import { readStored, writeStored } from "./stored.js";

export interface Settings {
  system: string;
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  /** Null: until the model ends by itself or the context is full. */
  maxTokens: number | null;
  /** Null: another one for each answer. */
  seed: number | null;
  backend: "auto" | "webgpu" | "cpu";
  /** Null: the SDK's default. */
  contextLength: number | null;
}

const backends: readonly string[] = ["auto", "webgpu", "cpu"] satisfies Settings["backend"][];

const defaults: Settings = {
  system: "",
  temperature: 0.7,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  repetitionPenalty: 1.1,
  maxTokens: 1024,
  seed: null,
  backend: "auto",
  contextLength: null,
};

type SliderName = "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty";

const sliders: { name: SliderName; title: string; min: number; max: number; step: number; help: string }[] = [
  {
    name: "temperature",
    title: "Temperature",
    min: 0,
    max: 2,
    step: 0.05,
    help: "0 always chooses the most likely token",
  },
  {
    name: "topK",
    title: "Top-k",
    min: 0,
    max: 200,
    step: 1,
    help: "Number of most likely tokens to choose from; 0 is all",
  },
  {
    name: "topP",
    title: "Top-p",
    min: 0.05,
    max: 1,
    step: 0.01,
    help: "Choose from the tokens that together have this probability",
  },
  {
    name: "minP",
    title: "Min-p",
    min: 0,
    max: 0.5,
    step: 0.01,
    help: "Lowest probability, relative to the most likely token",
  },
  { name: "repetitionPenalty", title: "Repetition penalty", min: 1, max: 1.5, step: 0.01, help: "1 has no effect" },
];

let current: Settings = readStored("settings", checkSettings) ?? { ...defaults };

export function settings(): Readonly<Settings> {
  return current;
}

/** `onClosed` is called when the dialog closes, whatever was changed. */
export function initSettings(onClosed: () => void): void {
  const dialog = byId("settings", HTMLDialogElement);
  const form = byId("settings-form", HTMLFormElement);
  const place = byId("sliders", HTMLDivElement);
  for (const slider of sliders) place.append(sliderRow(slider));

  byId("settings-button", HTMLButtonElement).addEventListener("click", () => dialog.showModal());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  form.addEventListener("input", () => {
    current = readForm(form);
    showOutputs(form);
    writeStored("settings", current);
  });
  byId("settings-reset", HTMLButtonElement).addEventListener("click", () => {
    current = { ...defaults };
    writeStored("settings", current);
    fillForm(form);
  });
  dialog.addEventListener("close", onClosed);
  fillForm(form);
}

function sliderRow({ name, title, min, max, step, help }: (typeof sliders)[number]): HTMLDivElement {
  const id = `slider-${name}`;
  const input = create("input");
  Object.assign(input, { id, type: "range", name, min: String(min), max: String(max), step: String(step) });
  const label = create("label", "", title);
  label.htmlFor = id;
  const output = create("output");
  output.dataset.for = name;
  return create("div", "slider", label, output, input, create("small", "", help));
}

function field(form: HTMLFormElement, name: string): { value: string } {
  return form.elements.namedItem(name) as unknown as { value: string };
}

function fillForm(form: HTMLFormElement): void {
  for (const name of Object.keys(defaults) as (keyof Settings)[]) field(form, name).value = String(current[name] ?? "");
  showOutputs(form);
}

function showOutputs(form: HTMLFormElement): void {
  for (const output of form.querySelectorAll<HTMLOutputElement>("output[data-for]")) {
    output.value = field(form, output.dataset.for ?? "").value;
  }
}

function readForm(form: HTMLFormElement): Settings {
  const number = (name: SliderName) => Number(field(form, name).value);
  const optional = (name: string) => {
    const value = Number.parseInt(field(form, name).value, 10);
    return Number.isSafeInteger(value) && value >= 0 ? value : null;
  };
  return {
    system: field(form, "system").value,
    temperature: number("temperature"),
    topK: number("topK"),
    topP: number("topP"),
    minP: number("minP"),
    repetitionPenalty: number("repetitionPenalty"),
    maxTokens: optional("maxTokens") || null,
    seed: optional("seed"),
    backend: field(form, "backend").value as Settings["backend"],
    contextLength: optional("contextLength") || null,
  };
}

/** Stored settings of the right types; those that an older page stored differently have their defaults. */
function checkSettings(value: unknown): Settings | null {
  if (typeof value !== "object" || value === null) return null;
  const stored = value as Record<string, unknown>;
  const checked: Record<string, unknown> = { ...defaults };
  for (const [name, standard] of Object.entries(defaults)) {
    const type = standard === null || name === "maxTokens" ? "number" : typeof standard;
    const nullable = standard === null || name === "maxTokens";
    if (typeof stored[name] === type || (nullable && stored[name] === null)) checked[name] = stored[name];
  }
  if (!backends.includes(String(checked.backend))) checked.backend = defaults.backend;
  return checked as unknown as Settings;
}
