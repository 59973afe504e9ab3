import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { findHubFile, pickQuant, storedHubKey } from "./hugging-face.js";
import type { HubDescriptor } from "./source.js";

const commit = "0123456789abcdef0123456789abcdef01234567";
const sha256 = "ab".repeat(32);
let server: ModelServer;
let source: HubDescriptor;
let asked: string[];

beforeEach(async () => {
  server = await ModelServer.start(randomBytes(1_000));
  asked = [];
  source = { kind: "hub", endpoint: server.origin, repo: "owner/name", revision: "main", quant: "Q4_K_M" };
  server.routes.set("/api/models/owner/name/revision/main", (request, response) => {
    asked.push(`${request.url} ${request.headers.authorization}`);
    const siblings = [
      { rfilename: "README.md", size: 10 },
      { rfilename: "mmproj-Q4_K_M.gguf", size: 10 },
      { rfilename: "name-Q4_K_M.gguf", size: 130, lfs: { sha256, size: 1_000, pointerSize: 130 } },
      { rfilename: "name.Q8_0.gguf", size: 2_000 },
    ];
    response.end(JSON.stringify({ sha: commit, siblings }));
  });
});
afterEach(() => server.stop());

test("a quantization is looked up: commit, size and hash come with it", async () => {
  expect(await findHubFile({ ...source, token: "hf_x" })).toEqual({
    path: "name-Q4_K_M.gguf",
    key: `${server.origin}/owner/name/resolve/main/name-Q4_K_M.gguf`,
    url: `${server.origin}/owner/name/resolve/${commit}/name-Q4_K_M.gguf`,
    size: 1_000,
    sha256,
  });
  expect(asked).toEqual(["/api/models/owner/name/revision/main?blobs=true Bearer hf_x"]);
});

test("each part of a split model has a hash", async () => {
  const hashes = ["1".repeat(64), "2".repeat(64)];
  server.routes.set("/api/models/owner/name/revision/main", (_, response) => {
    const siblings = hashes.map((sha256, no) => ({
      rfilename: `q/name-0000${no + 1}-of-00002.gguf`,
      lfs: { sha256: sha256.toUpperCase(), size: 1_000 + no },
    }));
    response.end(JSON.stringify({ sha: commit, siblings: siblings.reverse() }));
  });
  const file = "q/name-00001-of-00002.gguf";
  expect(await findHubFile({ ...source, file })).toMatchObject({ path: file, sha256: hashes[0], partHashes: hashes });
});

test("a quantization that is not there is an error that lists the files that are", async () => {
  await expect(findHubFile({ ...source, quant: "Q2_K" })).rejects.toMatchObject({
    code: "invalid-argument",
    details: { field: "source.quant", available: ["name-Q4_K_M.gguf", "name.Q8_0.gguf"] },
  });
});

test("of a host without the API, the headers give the commit", async () => {
  server.routes.clear();
  server.routes.set("/api/models/owner/name/revision/main", (_, response) => void response.writeHead(404).end());
  server.behaviour = { headers: { "x-repo-commit": commit, "x-linked-etag": `"${sha256}"` } };
  expect(await findHubFile({ ...source, file: "a.gguf" })).toEqual({
    path: "a.gguf",
    key: `${server.origin}/owner/name/resolve/main/a.gguf`,
    url: `${server.origin}/owner/name/resolve/${commit}/a.gguf`,
    sha256,
  });
  await expect(findHubFile(source)).rejects.toMatchObject({ code: "http-status", details: { status: 404 } });
});

test("a repository that requires a token is an error that says so", async () => {
  server.routes.set("/api/models/owner/name/revision/main", (_, response) => void response.writeHead(401).end());
  await expect(findHubFile(source)).rejects.toMatchObject({ message: expect.stringContaining("token") });
});

describe("which file is meant", () => {
  test.each([
    ["Q4_K", ["m-Q4_K_M.gguf", "m-Q4_K.gguf"], "m-Q4_K.gguf"],
    ["q4_k_m", ["m-Q4_K_M.gguf"], "m-Q4_K_M.gguf"],
    ["Q4_XS", ["m-IQ4_XS.gguf"], undefined],
    ["Q4_K_XL", ["UD-Q4_K_XL/m.gguf"], "UD-Q4_K_XL/m.gguf"],
    ["Q8_0", ["m.Q8_0-00002-of-00002.gguf", "m.Q8_0-00001-of-00002.gguf"], "m.Q8_0-00001-of-00002.gguf"],
    ["Q8_0", ["m.Q8_0-00001-of-00002.gguf", "longer-name.Q8_0.gguf"], "longer-name.Q8_0.gguf"],
    ["Q8_0", ["mmproj-m-Q8_0.gguf", "m-Q8_0.txt"], undefined],
  ])("%s of %j", (quant, paths, expected) => {
    expect(pickQuant(paths, quant)).toBe(expected);
  });

  test("a stored file is found without asking", () => {
    const key = `${server.origin}/owner/name/resolve/main/sub/name-Q4_K_M.gguf`;
    expect(storedHubKey(source, ["https://other/x.gguf", key])).toBe(key);
    expect(storedHubKey({ ...source, quant: "Q8_0" }, [key])).toBeUndefined();
    expect(storedHubKey({ ...source, revision: "v2" }, [key])).toBeUndefined();
  });
});
