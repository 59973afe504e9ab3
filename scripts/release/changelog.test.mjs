import { describe, expect, test } from "vitest";
import { newestRelease, release, unreleased } from "./changelog.mjs";

const first = "# Changelog\n\n## Unreleased\n\nWords.\n\n- **gguf**: a reader.\n";
const later = `# Changelog\n\n## Unreleased\n\n- A change.\n\n## 0.2.0-rc.1 (2026-12-01)\n\n- Old.\n\n## 0.1.0 (2026-11-30)\n`;

describe("the changelog", () => {
  test("knows the newest release", () => {
    expect(newestRelease(first)).toBe(null);
    expect(newestRelease(later)).toBe("0.2.0-rc.1");
  });

  test("has what is not released, up to the newest release or to its end", () => {
    expect(unreleased(first)).toBe("Words.\n\n- **gguf**: a reader.");
    expect(unreleased(later)).toBe("- A change.");
  });

  test("gets a dated section below a new empty one, and keeps the rest", () => {
    const released = release(later, "0.2.0", "2026-12-24");
    expect(released).toBe(later.replace("## Unreleased\n", "## Unreleased\n\n## 0.2.0 (2026-12-24)\n"));
    expect(unreleased(released)).toBe("");
    expect(newestRelease(released)).toBe("0.2.0");
  });

  test("is refused when nothing is to be released, or when it has no place for it", () => {
    const released = release(first, "0.1.0", "2026-11-30");
    expect(() => release(released, "0.1.1", "2026-12-01")).toThrow("nothing stands under");
    expect(() => unreleased("# Changelog\n\nSee ## Unreleased\n")).toThrow("no line");
  });
});
