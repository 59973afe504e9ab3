/** Light and dark: the system's choice until the reader makes one. */

import { byId } from "./dom.js";
import { readStored, writeStored } from "./stored.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

export function initTheme(): void {
  const button = byId("theme-button", HTMLButtonElement);
  let chosen = readStored("theme", (value) => (value === "light" || value === "dark" ? value : null));

  const apply = () => {
    const theme = chosen ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-label", theme === "dark" ? "Light colours" : "Dark colours");
    button.title = button.getAttribute("aria-label") ?? "";
  };
  dark.addEventListener("change", apply);
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    writeStored("theme", chosen);
    apply();
  });
  apply();
}
