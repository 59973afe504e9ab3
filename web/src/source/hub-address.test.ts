import { describe, expect, test } from "vitest";
import { parseHubAddress } from "./hub-address.js";

describe("addresses of Hugging Face", () => {
  const file = { repo: "owner/name", revision: "main", file: "a.gguf" };
  test.each([
    ["https://huggingface.co/owner/name", { repo: "owner/name" }],
    ["https://huggingface.co/owner/name/", { repo: "owner/name" }],
    ["http://www.huggingface.co/owner/name?library=llama.cpp#usage", { repo: "owner/name" }],
    ["huggingface.co/owner/name", { repo: "owner/name" }],
    [" hf.co/owner/name:Q4_K_M ", { repo: "owner/name", quant: "Q4_K_M" }],
    ["https://huggingface.co/owner/name/discussions/3", { repo: "owner/name" }],
    ["https://huggingface.co/owner/name/tree/main", { repo: "owner/name", revision: "main" }],
    ["https://huggingface.co/owner/name/tree/main/folder", { repo: "owner/name", revision: "main" }],
    ["https://huggingface.co/owner/name/blob/main/a.gguf", file],
    ["https://huggingface.co/owner/name/raw/main/a.gguf", file],
    ["https://huggingface.co/owner/name/resolve/main/a.gguf?download=true", file],
    [
      "https://huggingface.co/owner/name/blob/refs%2Fpr%2F1/sub/a%20b.gguf",
      { repo: "owner/name", revision: "refs/pr/1", file: "sub/a b.gguf" },
    ],
  ])("%s", (text, address) => {
    expect(parseHubAddress(text)).toEqual(address);
  });

  test.each([
    "owner/name",
    "a.gguf",
    "https://host/owner/name/blob/main/a.gguf",
    "https://huggingface.co/",
    "https://huggingface.co/owner",
    "https://huggingface.co/datasets/owner/name",
    "https://huggingface.co/spaces/owner/name",
    "ftp://huggingface.co/owner/name",
    "",
  ])("not %s", (text) => {
    expect(parseHubAddress(text)).toBeUndefined();
  });
});
