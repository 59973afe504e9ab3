// Finding a Rust toolchain for this machine and one that can build for wasm32.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { StepError } from "./console.mjs";
import { capture, findProgram } from "./shell.mjs";
import { aptInstall, isDebian } from "./system-packages.mjs";

const target = "wasm32-unknown-unknown";

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
  return home !== null && existsSync(join(home, "lib/rustlib/src/rust/library/Cargo.toml"));
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
 * A toolchain for wasm32, installing what is missing: the default one where it has (or rustup can add) the target,
 * else Debian's, which builds std itself. `CHORD_WASM_TOOLCHAIN=debian` skips the first.
 *
 * @returns {Promise<{ name: string, cargo: string, args: string[], env: Record<string, string> }>}
 */
export async function wasmToolchain() {
  if (process.env.CHORD_WASM_TOOLCHAIN !== "debian" && findProgram("rustc")) {
    const native = { name: "the default toolchain", cargo: "cargo", args: [], env: {} };
    const home = await sysroot("rustc");
    if (home && existsSync(join(home, "lib/rustlib", target))) return native;
    if (findProgram("rustup") && !(await debianIsInstalled())) {
      const added = await capture("rustup", ["target", "add", target], { log: "rustup", timeoutMs: 120_000 });
      if (added.code === 0) return native;
    }
  }
  if (!(await debianIsInstalled())) {
    if (!isDebian()) {
      throw new StepError(
        `this Rust has no ${target} target`,
        `install rustup from https://rustup.rs and run: rustup target add ${target}`,
      );
    }
    await aptInstall(debian.packages, `a Rust that builds for ${target}`);
  }
  return {
    name: "Debian's rustc-web with its own std",
    cargo: debian.cargo,
    args: ["-Z", "build-std=std,panic_abort"],
    env: { ...debianEnv, RUSTC_BOOTSTRAP: "1", CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: debian.linker },
  };
}
