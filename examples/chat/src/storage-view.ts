/** What this browser keeps: each model with its size, what room there is, and whether the browser may delete it. */

import { type CachedModel, Chord } from "@querent-ai/wasm-chord";
import { announce, byId, create } from "./dom.js";
import { formatBytes } from "./format.js";
import { clearProblem, showProblem } from "./problem.js";

const day = new Intl.DateTimeFormat("en", { dateStyle: "medium" });

let onChanged: () => void = () => undefined;

/** `changed` is called when a model was deleted. */
export function initStorageView(changed: () => void): void {
  onChanged = changed;
  const dialog = byId("storage", HTMLDialogElement);
  byId("storage-button", HTMLButtonElement).addEventListener("click", () => {
    clearProblem(byId("storage-problem", HTMLParagraphElement));
    dialog.showModal();
    void refresh();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  byId("storage-persist", HTMLButtonElement).addEventListener("click", () => void persist());
}

async function refresh(): Promise<void> {
  try {
    const [models, usage] = await Promise.all([Chord.cache.list(), Chord.cache.usage()]);
    byId("stored-models", HTMLUListElement).replaceChildren(...models.map(row));
    const free = usage.free === null ? "" : ` The browser estimates ${formatBytes(usage.free)} free.`;
    const count = models.length === 1 ? "1 model" : `${models.length} models`;
    const kept = models.length === 0 ? "No model is stored." : `${count}, ${formatBytes(usage.models)}.`;
    byId("storage-usage", HTMLParagraphElement).textContent = kept + free;
    const meter = byId("storage-meter", HTMLMeterElement);
    meter.hidden = usage.used === null || !usage.quota;
    if (usage.used !== null && usage.quota) meter.value = usage.used / usage.quota;
    showPersisted(usage.persisted);
  } catch (error) {
    showProblem(byId("storage-problem", HTMLParagraphElement), error);
  }
}

function row(model: CachedModel): HTMLLIElement {
  const size = model.complete
    ? formatBytes(model.size)
    : `${formatBytes(model.stored)} of ${formatBytes(model.size)}; the next load fetches the rest`;
  const facts = create("span", "hint number", `${size}, last used ${day.format(model.lastUsed)}`);
  return create("li", "", create("div", "", create("strong", "", model.name), facts), deleteButton(model));
}

/** Asks once more before it deletes: a model is a long download. */
function deleteButton(model: CachedModel): HTMLButtonElement {
  const button = create("button", "quiet", "Delete");
  button.type = "button";
  const ask = (asked: boolean) => {
    button.toggleAttribute("data-asked", asked);
    button.textContent = asked ? "Really delete?" : "Delete";
    button.setAttribute("aria-label", asked ? `Really delete ${model.name}?` : `Delete ${model.name}`);
  };
  ask(false);
  button.addEventListener("blur", () => ask(false));
  button.addEventListener("click", () => {
    if (!button.hasAttribute("data-asked")) return ask(true);
    void remove(model);
  });
  return button;
}

async function remove(model: CachedModel): Promise<void> {
  const problem = byId("storage-problem", HTMLParagraphElement);
  clearProblem(problem);
  try {
    await Chord.cache.delete(model.url ?? model.name);
    announce(`${model.name} is deleted`);
  } catch (error) {
    showProblem(problem, error);
  }
  await refresh();
  byId("storage", HTMLDialogElement).querySelector<HTMLButtonElement>(".panel-head button")?.focus();
  onChanged();
}

async function persist(): Promise<void> {
  const agreed = await Chord.cache.persist();
  showPersisted(agreed);
  if (!agreed) byId("storage-persisted", HTMLParagraphElement).textContent = "This browser did not agree to keep them.";
}

function showPersisted(persisted: boolean): void {
  byId("storage-persisted", HTMLParagraphElement).textContent = persisted
    ? "This browser keeps them until you delete them."
    : "This browser may delete them when the disk is full.";
  byId("storage-persist", HTMLButtonElement).hidden = persisted;
}
