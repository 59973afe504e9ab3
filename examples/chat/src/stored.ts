/** Small choices that outlive the page. If a browser refuses storage, they are forgotten, and nothing else fails. */

const prefix = "chord-chat.";

/** What was stored under `name`, as `check` accepts it, or null. */
export function readStored<T>(name: string, check: (value: unknown) => T | null): T | null {
  try {
    const text = localStorage.getItem(prefix + name);
    return text === null ? null : check(JSON.parse(text));
  } catch {
    return null;
  }
}

export function writeStored(name: string, value: unknown): void {
  try {
    localStorage.setItem(prefix + name, JSON.stringify(value));
  } catch {
    // Private windows may refuse; the choice holds until the page is left.
  }
}
