// @ts-check
// Small WebAssembly modules that do one thing each as fast as a tab can: read memory, and multiply numbers of 8 or of
// 16 bits. What a kernel reaches is a share of these. Written as text here, and assembled by binaryen.

import binaryen from "binaryen";

/** @import { Ceilings } from "../page/ceilings.js" */

const indices = (/** @type {number} */ count) => Array.from({ length: count }, (_, index) => index);

/** `read(bytes)`: every byte of the memory once, in eight independent sums. `fill` makes that memory. */
function streamText() {
  const loads = indices(8).map(
    (i) => `(local.set $s${i} (v128.xor (local.get $s${i}) (v128.load offset=${16 * i} (local.get $at))))`,
  );
  const folded = indices(8).reduce((sum, i) => `(v128.xor ${sum} (local.get $s${i}))`, "(v128.const i32x4 0 0 0 0)");
  return `(module
    (memory 0)
    (func (export "read") (param $bytes i32) (result i32) (local $at i32)
      ${indices(8).map((i) => `(local $s${i} v128)`)}
      (loop $next
        ${loads.join("\n")}
        (local.set $at (i32.add (local.get $at) (i32.const 128)))
        (br_if $next (i32.lt_u (local.get $at) (local.get $bytes))))
      (i32x4.extract_lane 0 ${folded}))
    (func (export "fill") (param $bytes i32) (result i32) (local $grown i32)
      (local.set $grown (memory.grow (i32.shr_u (local.get $bytes) (i32.const 16))))
      (if (i32.ge_s (local.get $grown) (i32.const 0))
        (then (memory.fill (i32.const 0) (i32.const 1) (local.get $bytes))))
      (local.get $grown)))`.replaceAll(",", " ");
}

/** `dot(rounds)`: twelve independent sums of 8-bit products, all operands in registers. */
function dotText() {
  const dots = indices(12).map(
    (i) => `(local.set $s${i} (i32x4.relaxed_dot_i8x16_i7x16_add_s (local.get $a) (local.get $b) (local.get $s${i})))`,
  );
  const folded = indices(12).reduce((sum, i) => `(v128.xor ${sum} (local.get $s${i}))`, "(local.get $a)");
  return `(module
    (func (export "dot") (param $rounds i32) (result i32) (local $a v128) (local $b v128)
      ${indices(12).map((i) => `(local $s${i} v128)`)}
      (local.set $a (i8x16.splat (local.get $rounds)))
      (local.set $b (i8x16.splat (i32.and (local.get $rounds) (i32.const 127))))
      (loop $next
        ${dots.join("\n")}
        (br_if $next (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
      (i32x4.extract_lane 0 ${folded})))`.replaceAll(",", " ");
}

/**
 * `dot16(rounds)`: the work of a tile of four vectors by two numbers, from the nearest cache. Its operands change, or
 * an engine would multiply them only once.
 */
function dot16Text() {
  const loads = indices(4).map((i) => `(local.set $w${i} (v128.load offset=${16 * i} (local.get $at)))`);
  const splats = indices(2).map((i) => `(local.set $a${i} (v128.load32_splat offset=${4 * i} (local.get $at)))`);
  const product = (/** @type {number} */ i) => `(i32x4.dot_i16x8_s (local.get $w${i % 4}) (local.get $a${i >> 2}))`;
  const sums = indices(8).map((i) => `(local.set $s${i} (i32x4.add (local.get $s${i}) ${product(i)}))`);
  const folded = indices(8).reduce((sum, i) => `(v128.xor ${sum} (local.get $s${i}))`, "(local.get $w0)");
  return `(module
    (memory 1)
    (func (export "dot16") (param $rounds i32) (result i32) (local $at i32)
      ${indices(8).map((i) => `(local $s${i} v128)`)} ${indices(4).map((i) => `(local $w${i} v128)`)}
      (local $a0 v128) (local $a1 v128)
      (loop $next
        (local.set $at (i32.shl (i32.and (local.get $rounds) (i32.const 127)) (i32.const 6)))
        ${loads.join("\n")} ${splats.join("\n")} ${sums.join("\n")}
        (br_if $next (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
      (i32x4.extract_lane 0 ${folded}))
    (func (export "fill") (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536))))`.replaceAll(",", " ");
}

/** @param {string} text */
function assemble(text) {
  const module = binaryen.parseText(text);
  module.setFeatures(binaryen.Features.All);
  if (!module.validate()) throw new Error("the ceilings' module is not valid");
  const binary = module.emitBinary();
  module.dispose();
  return Buffer.from(binary).toString("base64");
}

/**
 * The works to time, ready for a page.
 *
 * @returns {Ceilings}
 */
export function ceilings() {
  return {
    stream: { module: assemble(streamText()), call: "read", setUp: "fill", perUnit: 1 },
    dot: { module: assemble(dotText()), call: "dot", perUnit: 16 * 12 },
    dot16: { module: assemble(dot16Text()), call: "dot16", setUp: "fill", perUnit: 8 * 8 },
  };
}
