import { describe, expect, test } from "vitest";
import { resolveSource, storeKey } from "./resolve.js";

const base = "https://example.org/app/page.html";

describe("sources", () => {
  test.each([
    ["https://host/a b.gguf", "https://host/a%20b.gguf"],
    ["models/x.gguf", "https://example.org/app/models/x.gguf"],
    ["/models/x.gguf#part", "https://example.org/models/x.gguf"],
    [new URL("http://localhost:1/x.gguf?v=2"), "http://localhost:1/x.gguf?v=2"],
    [{ repo: "owner/name-GGUF", file: "a.gguf" }, "https://huggingface.co/owner/name-GGUF/resolve/main/a.gguf"],
    [
      { repo: "owner/name", file: "sub/a b.gguf", revision: "refs/pr/1" },
      "https://huggingface.co/owner/name/resolve/refs%2Fpr%2F1/sub/a%20b.gguf",
    ],
  ])("%s", (source, url) => {
    expect(resolveSource(source, base)).toEqual({ kind: "url", url });
  });

  test("a file is taken as it is", () => {
    const blob = new File(["GGUF"], "a.gguf");
    expect(resolveSource(blob, base)).toEqual({ kind: "blob", blob });
  });

  test.each([
    ["file:///etc/passwd", "source"],
    ["https://", "source"],
    [{ repo: "name", file: "a.gguf" }, "source.repo"],
    [{ repo: "../../x", file: "a.gguf" }, "source.repo"],
    [{ repo: "owner/name", file: "../a.gguf" }, "source.file"],
    [{ repo: "owner/name", file: "" }, "source.file"],
    [new File([], "empty.gguf"), "source"],
    [42, "source"],
    [null, "source"],
  ])("refuses %s", (source, field) => {
    expect(() => resolveSource(source as string, base)).toThrow(
      expect.objectContaining({ code: "invalid-argument", details: expect.objectContaining({ field }) }),
    );
  });

  test("the key of the store is the address without its fragment", () => {
    expect(storeKey("https://host/x.gguf?v=1#a")).toBe("https://host/x.gguf?v=1");
  });
});
