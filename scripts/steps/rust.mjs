// Finding a Rust toolchain for this machine and one that can build for WebAssembly.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { StepError } from "./console.mjs";
import { capture, findProgram } from "./shell.mjs";
import { aptInstall, isDebian } from "./system-packages.mjs";

const buildStd = ["-Z", "build-std=std,panic_abort"];
const librarySource = "lib/rustlib/src/rust/library/Cargo.toml";

/**
 * `-Z build-std` is not stable, and may change with any Rust version. It was tried up to the minor version `newest`; if
 * the default toolchain is newer, rustup provides `toolchain` (docs/decisions/0024-toolchain.md).
 */
const tried = { newest: 96, toolchain: "1.95.0" };

/** Whether a Rust is one that builds std as it was tried; `version` is what `rustc --version` prints. */
export function buildsStdAsTried(version) {
  const [, major, minor] = /^rustc (\d+)\.(\d+)\./.exec(version) ?? [];
  return Number(major) === 1 && Number(minor) <= tried.newest;
}

// Debian's second Rust: current, and with the library's source, from which std is built for wasm.
const debian = {
  packages: ["rustc-web", "cargo-web", "rust-web-src", "lld-22"],
  cargo: "/usr/bin/cargo",
  rustc: "/usr/bin/rustc",
  linker: "/usr/bin/wasm-ld-22",
};

const debianEnv = { PATH: `/usr/bin:${process.env.PATH}`, RUSTC: debian.rustc };

/** What a rustc prints when it is asked, or null. */
async function ask(rustc, question, env) {
  const { code, output } = await capture(rustc, question, { log: "rustc", env });
  return code === 0 ? output.trim() : null;
}

const sysroot = (rustc, env) => ask(rustc, ["--print", "sysroot"], env);

/**
 * Flags that leave this machine's folders out of the places that panics name: artifacts are smaller, and the same
 * wherever they are built.
 *
 * @param {{ env: Record<string, string> }} toolchain
 */
export async function pathFlags({ env }) {
  const crates = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry", "src");
  const home = await sysroot(env.RUSTC ?? "rustc", env);
  const folders = [crates, ...(home === null ? [] : [join(home, "lib", "rustlib", "src", "rust")])];
  return folders.map((folder) => `--remap-path-prefix=${folder}=`);
}

async function debianIsInstalled() {
  if (![debian.cargo, debian.rustc, debian.linker].every((file) => existsSync(file))) return false;
  const home = await sysroot(debian.rustc);
  return home !== null && existsSync(join(home, librarySource));
}

/** Cargo for this machine's own programs: the one on PATH, else Debian's. */
export async function hostCargo() {
  if (findProgram("cargo")) return { cargo: "cargo", env: {} };
  if (isDebian()) {
    if (!(await debianIsInstalled())) await aptInstall(debian.packages, "Rust");
    return { cargo: debian.cargo, env: debianEnv };
  }
  throw new StepError("Rust is not installed", "install it from https://rustup.rs and run this again");
}

/**
 * The toolchain of rustup with which building std was tried. It is installed if rustup may install by itself; null
 * where it cannot be had.
 */
async function triedToolchain() {
  if (!findProgram("rustup")) return null;
  const env = { RUSTUP_TOOLCHAIN: tried.toolchain };
  const { output } = await capture("rustup", ["toolchain", "list"], { log: "rustup" });
  const isThere = output.split("\n").some((name) => name.startsWith(`${tried.toolchain}-`));
  const home = isThere ? await sysroot("rustc", env) : null;
  if (home !== null && existsSync(join(home, librarySource))) return env;
  if (process.env.RUSTUP_AUTO_INSTALL === "0" || (await debianIsInstalled())) return null;
  const add = ["toolchain", "install", tried.toolchain, "--profile", "minimal", "--component", "rust-src"];
  const added = await capture("rustup", add, { log: "rustup", timeoutMs: 600_000 });
  return added.code === 0 ? env : null;
}

/**
 * A toolchain for a WebAssembly target, installing what is missing: the default one where it has (or rustup can add)
 * the target or, where std is to be built too, its source; else Debian's, which always builds std itself. Where std is
 * to be built and the default one is newer than those that were tried, the newest tried one is used.
 * `CHORD_WASM_TOOLCHAIN=debian` skips the first, `=default` uses it however new it is.
 *
 * @param {{ target: string, ownStd: boolean }} wanted
 * @returns {Promise<{ name: string, cargo: string, args: string[], env: Record<string, string> }>}
 */
export async function wasmToolchain({ target, ownStd }) {
  const asked = process.env.CHORD_WASM_TOOLCHAIN;
  let tooNew = null;
  if (asked !== "debian" && findProgram("rustc")) {
    const native = { name: "the default toolchain", cargo: "cargo", args: [], env: {} };
    if (ownStd) Object.assign(native, { args: buildStd, env: { RUSTC_BOOTSTRAP: "1" } });
    const needed = ownStd ? librarySource : join("lib/rustlib", target);
    const home = await sysroot("rustc");
    // Debian's own rustc, where it is the only one, has the source but not the linker that it needs.
    const isDebians = (await debianIsInstalled()) && home === (await sysroot(debian.rustc));
    const version = await ask("rustc", ["--version"]);
    if (home && ownStd && !isDebians && asked !== "default" && !buildsStdAsTried(version ?? "")) {
      const env = await triedToolchain();
      if (env !== null) return { ...native, name: `Rust ${tried.toolchain}`, env: { ...native.env, ...env } };
      tooNew = version ?? "this Rust";
    } else if (home && !isDebians && existsSync(join(home, needed))) {
      return native;
    } else if (findProgram("rustup") && !(await debianIsInstalled())) {
      const add = ownStd ? ["component", "add", "rust-src"] : ["target", "add", target];
      const added = await capture("rustup", add, { log: "rustup", timeoutMs: 120_000 });
      if (added.code === 0) return native;
    }
  }
  if (!(await debianIsInstalled())) {
    if (!isDebian() && tooNew !== null) {
      throw new StepError(
        `${tooNew} is newer than 1.${tried.newest}, the newest Rust that -Z build-std was tried with`,
        `run: rustup toolchain install ${tried.toolchain} --profile minimal --component rust-src; ` +
          "or try yours, with CHORD_WASM_TOOLCHAIN=default",
      );
    }
    if (!isDebian()) {
      const add = ownStd ? "rustup component add rust-src" : `rustup target add ${target}`;
      throw new StepError(
        `this Rust cannot build for ${target}`,
        `install rustup from https://rustup.rs and run: ${add}`,
      );
    }
    await aptInstall(debian.packages, `a Rust that builds for ${target}`);
  }
  const linker = `CARGO_TARGET_${target.toUpperCase().replaceAll("-", "_")}_LINKER`;
  return {
    name: "Debian's rustc-web with its own std",
    cargo: debian.cargo,
    args: buildStd,
    env: { ...debianEnv, RUSTC_BOOTSTRAP: "1", [linker]: debian.linker },
  };
}
