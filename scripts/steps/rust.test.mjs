/** Which Rust builds for WebAssembly, on simulated machines. */

import { beforeEach, describe, expect, test, vi } from "vitest";
import { buildsStdAsTried, wasmToolchain } from "./rust.mjs";

const machine = vi.hoisted(() => ({}));

vi.mock("node:fs", () => ({ existsSync: (path) => machine.files.some((file) => path.startsWith(file)) }));
vi.mock("./system-packages.mjs", () => ({ isDebian: () => machine.isDebian, aptInstall: vi.fn() }));
vi.mock("./shell.mjs", () => ({
  findProgram: (name) => machine.programs.includes(name),
  capture: (command, args, { env } = {}) => {
    machine.commands.push([command, ...args].join(" "));
    const toolchain = command === "/usr/bin/rustc" ? "debian" : (env?.RUSTUP_TOOLCHAIN ?? "default");
    const answers = {
      "--version": machine.version,
      "--print": `/${toolchain}`,
      toolchain: args[1] === "list" ? machine.toolchains : "",
    };
    return Promise.resolve({
      code: args[1] === "install" && !machine.isOnline ? 1 : 0,
      output: answers[args[0]] ?? "",
    });
  },
}));

const ownStd = { target: "wasm32-unknown-unknown", ownStd: true };
const pinned = { RUSTC_BOOTSTRAP: "1", RUSTUP_TOOLCHAIN: "1.95.0" };
const install = "rustup toolchain install 1.95.0 --profile minimal --component rust-src";

beforeEach(() => {
  vi.stubEnv("CHORD_WASM_TOOLCHAIN", undefined);
  vi.stubEnv("RUSTUP_AUTO_INSTALL", undefined);
  Object.assign(machine, { files: ["/default/"], programs: ["rustc", "rustup"], isDebian: false, isOnline: false });
  Object.assign(machine, { version: "rustc 1.97.0 (abc)", toolchains: "stable-aarch64-apple-darwin\n", commands: [] });
});

describe("std is built by", () => {
  test("the default toolchain, where that is not newer than what was tried", async () => {
    machine.version = "rustc 1.96.0 (ac68faa20 2026-05-25)";
    expect(await wasmToolchain(ownStd)).toMatchObject({ cargo: "cargo", env: { RUSTC_BOOTSTRAP: "1" } });
    expect((await wasmToolchain(ownStd)).env).not.toHaveProperty("RUSTUP_TOOLCHAIN");
  });

  test("the tried one of rustup, where the default is newer", async () => {
    machine.toolchains += "1.95.0-aarch64-apple-darwin\n";
    machine.files.push("/1.95.0/");
    expect(await wasmToolchain(ownStd)).toMatchObject({ name: "Rust 1.95.0", env: pinned });
    expect(machine.commands).not.toContain(install);
  });

  test("the tried one after rustup installed it", async () => {
    machine.isOnline = true;
    expect(await wasmToolchain(ownStd)).toMatchObject({ name: "Rust 1.95.0", env: pinned });
    expect(machine.commands).toContain(install);
  });

  test("Debian's, where that is there, and nothing is downloaded", async () => {
    machine.files.push("/usr/bin/", "/debian/");
    machine.isDebian = true;
    expect(await wasmToolchain(ownStd)).toMatchObject({ cargo: "/usr/bin/cargo" });
    expect(machine.commands).not.toContain(install);
  });

  test("the default one, however new, when asked", async () => {
    vi.stubEnv("CHORD_WASM_TOOLCHAIN", "default");
    expect((await wasmToolchain(ownStd)).name).toBe("the default toolchain");
  });
});

test.each([["0"], [undefined]])(
  "a Rust that is too new is named, with what to do (RUSTUP_AUTO_INSTALL=%s)",
  async (may) => {
    vi.stubEnv("RUSTUP_AUTO_INSTALL", may);
    const error = await wasmToolchain(ownStd).catch((thrown) => thrown);
    expect(error.message).toBe(
      "rustc 1.97.0 (abc) is newer than 1.96, the newest Rust that -Z build-std was tried with",
    );
    expect(error.next).toContain(install);
    expect(machine.commands.includes(install)).toBe(may !== "0");
  },
);

test("a prebuilt std comes from the default toolchain, whatever its version", async () => {
  const wanted = { target: "wasm32-unknown-unknown", ownStd: false };
  expect(await wasmToolchain(wanted)).toEqual({ name: "the default toolchain", cargo: "cargo", args: [], env: {} });
});

describe("a version", () => {
  test.each(["rustc 1.90.0 (1159e78c4 2025-09-14)", "rustc 1.95.0 (59807616e 2026-04-14)", "rustc 1.96.1 (Debian)"])(
    "%s was tried, or is older",
    (version) => expect(buildsStdAsTried(version)).toBe(true),
  );

  test.each(["rustc 1.97.0-nightly (e50aa6fba 2026-05-19)", "rustc 1.100.0", "rustc 2.0.0", ""])(
    '"%s" was not tried',
    (version) => expect(buildsStdAsTried(version)).toBe(false),
  );
});
