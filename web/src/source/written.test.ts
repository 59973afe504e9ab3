import { describe, expect, test } from "vitest";
import { resolveSource } from "./resolve.js";
import { asWritten } from "./written.js";

const base = "https://example.org/app/";
const told = (source: Parameters<typeof resolveSource>[0], message: (url: string) => string) => {
  const descriptor = resolveSource(source, base);
  return asWritten(message("url" in descriptor ? descriptor.url : ""), descriptor);
};

describe("addresses in messages", () => {
  test.each([
    "models/ein Modell (größer).gguf",
    "models/a%20b.gguf",
    "https://host/größe/模型.gguf?x=1",
    "HTTPS://Host/x.gguf#part",
  ])("%s stays as it was written", (written) => {
    const message = (url: string) => `${url} answered 404 Not Found. See ${url}.`;
    expect(told(written, message)).toBe(`${written} answered 404 Not Found. See ${written}.`);
    expect(told({ url: written }, message)).toBe(`${written} answered 404 Not Found. See ${written}.`);
  });

  test("a URL object is shown without escapes", () => {
    const message = (url: string) => `The connection to ${url} broke`;
    expect(told(new URL("https://host/a%20b.gguf"), message)).toBe("The connection to https://host/a b.gguf broke");
  });

  test("parts of a split model lie beside the first one", () => {
    const message = (url: string) => `${url.replace("00001-of", "00002-of")} answered 404`;
    expect(told("models/ä-00001-of-00002.gguf", message)).toBe("models/ä-00002-of-00002.gguf answered 404");
  });

  test("a file of a repository is shown with its repository, not with where that is", () => {
    const hub = { repo: "owner/na.me", file: "sub/a b.gguf" };
    const url = `https://huggingface.co/owner/na.me/resolve/${"ab".repeat(20)}/sub/a%20b.gguf`;
    expect(told(hub, () => `${url} answered 404`)).toBe("sub/a b.gguf of owner/na.me answered 404");
  });

  test("other addresses lose their escapes, and broken ones stay", () => {
    const message = () => "https://cdn/p%C3%A4th and https://cdn/%zz";
    expect(told("x.gguf", message)).toBe("https://cdn/päth and https://cdn/%zz");
  });
});
