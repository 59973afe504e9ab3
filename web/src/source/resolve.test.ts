import { describe, expect, test } from "vitest";
import { importedKey } from "./imported.js";
import { resolveSource, sourceKey, storeKey } from "./resolve.js";

const base = "https://example.org/app/page.html";

describe("sources", () => {
  test.each([
    ["https://host/a b.gguf", "https://host/a%20b.gguf"],
    ["models/x.gguf", "https://example.org/app/models/x.gguf"],
    ["/models/x.gguf#part", "https://example.org/models/x.gguf"],
    [new URL("http://localhost:1/x.gguf?v=2"), "http://localhost:1/x.gguf?v=2"],
    [{ url: "models/x.gguf" }, "https://example.org/app/models/x.gguf"],
  ])("%s", (source, url) => {
    expect(resolveSource(source, base)).toMatchObject({ kind: "url", url });
  });

  test("a file of a repository is looked up by the I/O worker", () => {
    const source = { repo: "owner/name", file: "sub/a b.gguf", revision: "refs/pr/1" };
    const hub = resolveSource(source, base);
    expect(hub).toEqual({ kind: "hub", endpoint: "https://huggingface.co", ...source });
    expect(sourceKey(hub, [])).toBe("https://huggingface.co/owner/name/resolve/refs%2Fpr%2F1/sub/a%20b.gguf");
  });

  const file = "https://huggingface.co/owner/name/resolve/main/sub/a%20b.gguf";
  test.each([
    "https://huggingface.co/owner/name/blob/main/sub/a%20b.gguf",
    "https://huggingface.co/owner/name/raw/main/sub/a b.gguf",
    "https://huggingface.co/owner/name/resolve/main/sub/a%20b.gguf?download=true",
    "hf.co/owner/name/blob/main/sub/a b.gguf",
    new URL("https://huggingface.co/owner/name/blob/main/sub/a%20b.gguf"),
  ])("%s is read as the file that the page is about", (source) => {
    expect(resolveSource(source, base)).toMatchObject({ kind: "url", url: file });
    expect(resolveSource({ url: source }, base)).toMatchObject({ kind: "url", url: file });
  });

  test.each(["https://huggingface.co/owner/name", "https://huggingface.co/owner/name/tree/main", "hf.co/owner/name"])(
    "%s is a repository: the error says how a file of it is named",
    (source) => {
      const expected = { code: "invalid-argument", details: { field: "source", repo: "owner/name" } };
      expect(() => resolveSource(source, base)).toThrow(expect.objectContaining(expected));
      expect(() => resolveSource(source, base)).toThrow('{ repo: "owner/name", file:');
    },
  );

  test("an address in place of a repository's or file's name is read", () => {
    const hub = { kind: "hub", endpoint: "https://huggingface.co", repo: "owner/name", revision: "main" };
    const repo = "https://huggingface.co/owner/name";
    expect(resolveSource({ repo, file: "a.gguf" }, base)).toEqual({ ...hub, file: "a.gguf" });
    expect(resolveSource({ repo: `${repo}/tree/v1`, quant: "Q8_0" }, base)).toEqual({
      ...{ ...hub, revision: "v1" },
      quant: "Q8_0",
    });
    expect(resolveSource({ repo: `${repo}/blob/v1/a.gguf` }, base)).toEqual({ ...hub, revision: "v1", file: "a.gguf" });
    expect(resolveSource({ repo: "hf.co/owner/name:Q8_0" }, base)).toEqual({ ...hub, quant: "Q8_0" });
    const named = { repo: "owner/name", file: `${repo}/blob/main/a.gguf` };
    expect(resolveSource(named, base)).toEqual({ ...hub, file: "a.gguf" });
    const other = { repo: "owner/other", file: `${repo}/blob/main/a.gguf` };
    expect(() => resolveSource(other, base)).toThrow("is not a file of owner/other");
  });

  test("a hash is read in upper or lower case", () => {
    const sha256 = "AB".repeat(32);
    expect(resolveSource({ url: "/x.gguf", sha256 }, base)).toMatchObject({ sha256: sha256.toLowerCase() });
  });

  test("a name is that of an imported model, unless a model is stored under that address", () => {
    const named = resolveSource("my model", base);
    expect(sourceKey(named, [])).toBe("https://example.org/app/my%20model");
    const imported = { key: importedKey("my model") };
    expect(sourceKey(named, [imported])).toBe(imported.key);
    const there = { key: "https://example.org/app/my%20model" };
    expect(sourceKey(named, [imported, there])).toBe(there.key);
  });

  test("a name does not match another host's file of that name", () => {
    const named = resolveSource("model.gguf", base);
    const elsewhere = { key: "https://host/model.gguf", name: "model.gguf" };
    expect(sourceKey(named, [elsewhere])).toBe("https://example.org/app/model.gguf");
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
    [{ repo: "../..", file: "a.gguf" }, "source.repo"],
    [{ repo: "owner/name" }, "source.file"],
    [{ repo: "owner/name", quant: "../x" }, "source.quant"],
    [{ repo: "owner/name", file: "a.gguf", revision: "" }, "source.revision"],
    [{ url: "/x.gguf", sha256: "12" }, "source.sha256"],
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
