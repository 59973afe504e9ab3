/** Files that are dropped on the page, whatever it shows. */

import { byId } from "./dom.js";

/** `onFile` is called for each dropped file; for several at once, for the first with a model's name. */
export function acceptDrops(onFile: (file: File) => void): void {
  const veil = byId("drop", HTMLDivElement);
  let depth = 0;
  const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) veil.hidden = true;
  });
  addEventListener("dragover", (event) => {
    if (holdsFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    depth = 0;
    veil.hidden = true;
    if (!holdsFiles(event)) return;
    event.preventDefault();
    const files = [...(event.dataTransfer?.files ?? [])];
    const dropped = files.find(({ name }) => /\.gguf$/i.test(name)) ?? files[0];
    if (dropped) onFile(dropped);
  });
}

/** True if a file begins like a GGUF file. If not, a load would report what it is. */
export async function isModel(file: File): Promise<boolean> {
  try {
    return (await file.slice(0, 4).text()) === "GGUF";
  } catch {
    return false; // A folder, or a file that is gone.
  }
}
