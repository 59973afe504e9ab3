/** Choosing a model: from the host's list, a Hugging Face repository, an address, or a file. */

import { type CachedModel, Chord, type ModelSource } from "@querent-ai/wasm-chord";
import { announce, byId, create } from "./dom.js";
import { type Entered, readAddress, readRepository, titleOf } from "./entered.js";
import { judge, knownVerdict, stopJudging, verdictText } from "./fit.js";
import { formatBytes } from "./format.js";
import { clearProblem, showProblem } from "./problem.js";
import { ask } from "./question.js";

export interface ChosenModel {
  title: string;
  source: ModelSource;
}

/** An entry of models.json, which the page's host may replace. A string is an address relative to the page. */
interface ListedModel {
  title: string;
  detail?: string;
  bytes?: number;
  source: string | { repo: string; file: string; revision?: string };
}

type Kind = "listed" | "repo" | "url" | "file";

/** The host's list, and what the page offers: that list and the other models that this browser keeps. */
let listed: ListedModel[] = [];
let offered: ListedModel[] = [];
let file: File | null = null;

/** Reads the current choice. */
let take: () => void = () => undefined;

export async function initPicker(onChosen: (model: ChosenModel) => void): Promise<void> {
  const form = byId("picker", HTMLFormElement);
  take = () => {
    clearProblem(byId("picker-problem", HTMLParagraphElement));
    stopJudging();
    try {
      onChosen(choice(form));
    } catch (error) {
      showPickerProblem(error);
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    take();
  });
  form.addEventListener("change", () => {
    showPane(form);
    void judgeSelected(form);
  });
  const input = byId("file", HTMLInputElement);
  input.addEventListener("change", () => setFile(input.files?.[0] ?? null));

  listed = await fetchList();
  await refreshPicker();
  if (offered.length === 0) selectKind(form, "repo");
  showPane(form);
}

/** Chooses a file, and loads it. */
export function takeFile(chosen: File): void {
  selectKind(byId("picker", HTMLFormElement), "file");
  setFile(chosen);
  take();
}

/** Shows whether the selected model of the list fits this device, while a model is being chosen. */
async function judgeSelected(form: HTMLFormElement): Promise<void> {
  if (document.body.dataset.phase !== "choose") return;
  const selected = new FormData(form).get("listed");
  const model = offered[Number(selected ?? -1)];
  if (!model || kindOf(form) !== "listed") return;
  const verdict = await judge(model.source);
  const row = form.querySelector(`input[name="listed"][value="${Number(selected)}"]`)?.parentElement;
  // The list may have changed meanwhile.
  const place = offered[Number(selected)] === model && row?.querySelector(".fit");
  if (verdict && place) place.replaceWith(fitMark(model));
}

/** Judges the models again: other settings may change the verdict. */
export function refreshFit(): void {
  const form = byId("picker", HTMLFormElement);
  form.querySelectorAll("#listed .fit").forEach((mark, index) => mark.replaceWith(fitMark(offered[index]!)));
  void judgeSelected(form);
}

/** What is known of a model's fit. */
function fitMark(model: ListedModel): HTMLSpanElement {
  const verdict = knownVerdict(model.source);
  const mark = create("span", "fit");
  if (!verdict) return mark;
  const { text, title } = verdictText(verdict);
  Object.assign(mark, { textContent: text, title });
  mark.dataset.fits = String(verdict.kind === "fits" || verdict.kind === "fits-with-context");
  return mark;
}

/** Shows why a load failed, where the next choice is made. */
export function showPickerProblem(error: unknown): void {
  showProblem(byId("picker-problem", HTMLParagraphElement), error);
}

async function fetchList(): Promise<ListedModel[]> {
  try {
    const response = await fetch("./models.json");
    const { models } = (await response.json()) as { models: ListedModel[] };
    return Array.isArray(models) ? models : [];
  } catch {
    return []; // A host without a list still accepts addresses and files.
  }
}

/** The host's models, with the stored ones marked, and then the other stored ones. */
export async function refreshPicker(): Promise<void> {
  const stored = await Chord.cache.list().catch(() => []);
  const others = stored
    .filter((kept) => kept.complete && !listed.some((model) => isAt(model, kept)))
    .map(({ url, name, size }) => ({ title: titleOf(name), bytes: size, source: url ?? name }));
  offered = [...listed, ...others];
  const rows = offered.map((model, index) =>
    listRow(
      model,
      index,
      stored.find((kept) => isAt(model, kept)),
    ),
  );
  byId("listed", HTMLDivElement).replaceChildren(...rows);
  void judgeSelected(byId("picker", HTMLFormElement));
}

function listRow(model: ListedModel, index: number, kept: CachedModel | undefined): HTMLLabelElement {
  const input = create("input", "covering");
  Object.assign(input, { type: "radio", name: "listed", value: String(index), checked: index === 0 });
  const facts = [model.bytes === undefined ? "" : formatBytes(model.bytes), model.detail ?? ""].filter(Boolean);
  const detail = create("span", "hint number", facts.join(", "));
  if (kept) detail.append(facts.length ? ", " : "", create("span", "stored", keptText(kept)));
  detail.append(fitMark(model));
  const row = create(
    "label",
    "choice",
    input,
    create("span", "choice-text", create("span", "choice-title", model.title), detail),
  );
  if (kept) row.append(removeButton(model, kept));
  return row;
}

function keptText({ complete, stored }: CachedModel): string {
  return complete ? "kept in this browser" : `${formatBytes(stored)} kept in this browser`;
}

function removeButton(model: ListedModel, kept: CachedModel): HTMLButtonElement {
  const button = create("button", "quiet", "Remove");
  button.type = "button";
  button.setAttribute("aria-label", `Remove ${model.title} from this browser`);
  button.setAttribute("aria-haspopup", "dialog");
  button.addEventListener("click", (event) => {
    event.preventDefault(); // The label around it would choose the model.
    void remove(model, kept);
  });
  return button;
}

/** Asks before it removes: a model is a long download. */
async function remove(model: ListedModel, { stored, url }: CachedModel): Promise<void> {
  const again =
    url === null ? "To use it again, you need its file." : "To use it again, it has to be downloaded again.";
  const agreed = await ask({
    title: `Remove ${model.title}?`,
    text: `It uses ${formatBytes(stored)} in this browser. ${again}`,
    yes: "Remove",
  });
  if (!agreed) return;
  clearProblem(byId("picker-problem", HTMLParagraphElement));
  try {
    await Chord.cache.delete(model.source);
    announce(`${model.title} is removed`);
  } catch (error) {
    showPickerProblem(error);
  }
  await refreshPicker();
  byId("load", HTMLButtonElement).focus();
}

/** True when what is kept is this model. */
function isAt({ source }: ListedModel, { url, name }: CachedModel): boolean {
  if (url === null) return source === name;
  if (typeof source === "string") return new URL(source, document.baseURI).href === url;
  return url.includes(`/${source.repo}/resolve/${source.revision ?? "main"}/`) && url.endsWith(`/${source.file}`);
}

function kindOf(form: HTMLFormElement): Kind {
  return new FormData(form).get("kind") as Kind;
}

function selectKind(form: HTMLFormElement, kind: Kind): void {
  const radio = form.querySelector<HTMLInputElement>(`input[name="kind"][value="${kind}"]`);
  if (radio) radio.checked = true;
  showPane(form);
}

function showPane(form: HTMLFormElement): void {
  const kind = kindOf(form);
  for (const pane of form.querySelectorAll<HTMLElement>(".pane")) pane.hidden = pane.dataset.kind !== kind;
}

function setFile(chosen: File | null): void {
  file = chosen;
  if (chosen) byId("file-name", HTMLSpanElement).textContent = `${chosen.name}, ${formatBytes(chosen.size)}`;
}

function choice(form: HTMLFormElement): ChosenModel {
  switch (kindOf(form)) {
    case "listed": {
      const model = offered[Number(new FormData(form).get("listed") ?? 0)];
      if (!model) throw new Error("No model is listed here. Choose a repository, an address or a file.");
      return { title: model.title, source: model.source };
    }
    case "repo":
      return model(readRepository(byId("repo", HTMLInputElement).value, byId("repo-file", HTMLInputElement).value));
    case "url":
      return model(readAddress(byId("url", HTMLInputElement).value));
    case "file":
      if (!file) throw new Error("Choose a .gguf file first.");
      return { title: titleOf(file.name), source: file };
  }
}

/** A model that was entered. A repository alone is moved into its field, and the error asks for a file. */
function model(entered: Entered): ChosenModel {
  if ("source" in entered) return entered;
  const { repo, revision } = entered;
  selectKind(byId("picker", HTMLFormElement), "repo");
  byId("repo", HTMLInputElement).value = revision ? `https://huggingface.co/${repo}/tree/${revision}` : repo;
  byId("repo-file", HTMLInputElement).focus();
  throw new Error(`Which file of ${repo}? Give its name, or a quantization such as Q4_K_M.`);
}
