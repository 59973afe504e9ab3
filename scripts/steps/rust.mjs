// Finding a Rust toolchain for this machine and one that can build for WebAssembly.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { StepError } from "./console.mjs";
import { capture, findProgram } from "./shell.mjs";
import { aptInstall, isDebian } from "./system-packages.mjs";

const buildStd = ["-Z", "build-std=std,panic_abort"];
const librarySource = "lib/rustlib/src/rust/library/Cargo.toml";

// Debian's second Rust: current, and with the library's source, from which std is built for wasm.
const debian = {
  packages: ["rustc-web", "cargo-web", "rust-web-src", "lld-22"],
  cargo: "/usr/bin/cargo",
  rustc: "/usr/bin/rustc",
  linker: "/usr/bin/wasm-ld-22",
};

const debianEnv = { PATH: `/usr/bin:${process.env.PATH}`, RUSTC: debian.rustc };

async function sysroot(rustc) {
  const { code, output } = await capture(rustc, ["--print", "sysroot"], { log: "rustc" });
  return code === 0 ? output.trim() : null;
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
 * A toolchain for a WebAssembly target, installing what is missing: the default one where it has (or rustup can add)
 * the target or, where std is to be built too, its source; else Debian's, which always builds std itself.
 * `CHORD_WASM_TOOLCHAIN=debian` skips the first.
 *
 * @param {{ target: string, ownStd: boolean }} wanted
 * @returns {Promise<{ name: string, cargo: string, args: string[], env: Record<string, string> }>}
 */
export async function wasmToolchain({ target, ownStd }) {
  if (process.env.CHORD_WASM_TOOLCHAIN !== "debian" && findProgram("rustc")) {
    const native = { name: "the default toolchain", cargo: "cargo", args: [], env: {} };
    if (ownStd) Object.assign(native, { args: buildStd, env: { RUSTC_BOOTSTRAP: "1" } });
    const needed = ownStd ? librarySource : join("lib/rustlib", target);
    const home = await sysroot("rustc");
    // Debian's own rustc, where it is the only one, has the source but not the linker that it asks for.
    const isDebians = (await debianIsInstalled()) && home === (await sysroot(debian.rustc));
    if (home && !isDebians && existsSync(join(home, needed))) return native;
    if (findProgram("rustup") && !(await debianIsInstalled())) {
      const add = ownStd ? ["component", "add", "rust-src"] : ["target", "add", target];
      const added = await capture("rustup", add, { log: "rustup", timeoutMs: 120_000 });
      if (added.code === 0) return native;
    }
  }
  if (!(await debianIsInstalled())) {
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
