import { describe, expect, test } from "vitest";
import { artifactUrls, missingFileAdvice, packageAddress, workerAddress } from "./addresses.js";

const base = "https://page.example/app/";

describe("addresses of the package's files", () => {
  test("addresses in the options are relative to the page", () => {
    expect(workerAddress("w.js", base)).toBe("https://page.example/app/w.js");
    expect(artifactUrls("chord.wasm", base)).toEqual({ baseline: "https://page.example/app/chord.wasm" });
    const some = artifactUrls({ threads: new URL("https://cdn.example/t.wasm") }, base);
    expect(some.threads).toBe("https://cdn.example/t.wasm");
    expect(some.baseline).toMatch(/\/chord\.wasm$/);
    expect(some["threads-simd128"]).toMatch(/\/chord-threads-simd128\.wasm$/);
    expect(some.memory64).toMatch(/\/chord-memory64\.wasm$/);
  });

  test("beside a module that Vite bundled, the file in the package is used", () => {
    const address = (url: string) => packageAddress(new URL(url)).href;
    expect(address("http://localhost:5173/node_modules/.vite/deps/chord-worker.js")).toBe(
      "http://localhost:5173/node_modules/@querent-ai/wasm-chord/dist/chord-worker.js",
    );
    expect(address("http://localhost:5173/base/node_modules/.vite/deps_temp_1/chord-threads.wasm")).toBe(
      "http://localhost:5173/base/node_modules/@querent-ai/wasm-chord/dist/chord-threads.wasm",
    );
  });

  test.each([
    "https://cdn.jsdelivr.net/npm/@querent-ai/wasm-chord@0.1.0/dist/chord-worker.js",
    "http://localhost:5173/node_modules/@querent-ai/wasm-chord/dist/chord-worker.js",
    "http://localhost:5173/@fs/home/me/node_modules/.pnpm/a@1/node_modules/@querent-ai/wasm-chord/dist/chord-worker.js",
    "https://page.example/assets/chord-worker-Bh3kz_9a.js",
    "file:///home/me/node_modules/@querent-ai/wasm-chord/dist/chord-worker.js",
  ])("%s is left as it is", (url) => {
    expect(packageAddress(new URL(url)).href).toBe(url);
  });
});

describe("advice about a file that is missing", () => {
  test.each(["/node_modules/.vite/deps/chord-worker.js", "/.cache/deps/chord-worker.js", "/app/.vite/deps/x.js"])(
    "beside %s, which Vite made: says what to add to its configuration",
    (path) => {
      expect(missingFileAdvice(new URL(path, "http://localhost:5173"))).toContain(
        'optimizeDeps: { exclude: ["@querent-ai/wasm-chord"] } to vite.config.js',
      );
    },
  );

  test.each([
    "/assets/chord-worker.js",
    "/chord-worker.js",
    "/node_modules/@querent-ai/wasm-chord/dist/chord-worker.js",
  ])("beside %s: names the files to copy and the options", (path) => {
    const advice = missingFileAdvice(new URL(path, "http://localhost"));
    expect(advice).not.toContain("Vite");
    expect(advice).toMatch(/dist\/chord\* copied.*workerUrl.*wasmUrl/);
  });
});
