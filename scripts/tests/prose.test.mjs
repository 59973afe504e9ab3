import { describe, expect, test } from "vitest";
import { faults, links } from "./prose.mjs";

const long = "word ".repeat(25).trim();

describe("prose", () => {
  test("ends at column 120 in Markdown and in comments, not in code", () => {
    expect(faults("a.md", `short\n\n${long}`)).toEqual(["3: 124 columns, at most 120"]);
    expect(faults("a.md", `| ${long} |\n\`\`\`\n${long}\n\`\`\``)).toEqual([]);
    expect(faults("a.rs", `//! | ${long} |`)).toEqual([]);
    expect(faults("a.rs", `/// ${long}`)).toEqual(["1: 128 columns, at most 120"]);
    expect(faults("a.ts", ` * ${long}`)).toEqual(["1: 127 columns, at most 120"]);
    expect(faults("a.ts", `const text = "${long}";`)).toEqual([]);
  });

  test("counts characters, not bytes", () => {
    expect(faults("a.md", "é".repeat(120))).toEqual([]);
  });

  test("may have an address or a piece of code that cannot be broken", () => {
    expect(faults("a.md", `see https://example.com/${"a".repeat(120)}`)).toEqual([]);
    expect(faults("a.rs", `    /// \`${"a|".repeat(60)}\``)).toEqual([]);
  });

  test("has plain words in documentation", () => {
    expect(faults("a.md", "Pieces are dealt out.")).toEqual([
      '1: "dealt": say it with a plain word (docs/glossary.md)',
    ]);
    expect(faults("a.md", "An ideal word; it is stripped.")).toEqual([]);
  });

  test("links to files", () => {
    expect(links("[a](b.md#c) [d](#e) [f](https://g.example/h) ![i](j.png)")).toEqual(["b.md", "j.png"]);
  });
});
