/** The reference's results, as llama.cpp gave them. */

import { readFileSync } from "node:fs";
import { expect, test } from "@playwright/test";
import { findGolden } from "./places.mjs";

export interface TinyGolden {
  model: string;
  tokens: number[];
  vocab: number;
  logits: string;
  argmax: number[];
  margin: number[];
  /** llama.cpp's own error with activations of 8 bits. */
  llama_cpp_q8_activation_nmse: number;
}

export interface Chat {
  prompt: string;
  tokens: number[];
  greedy: number[];
  margin: number[];
  text: string;
}

export interface ModelGolden {
  full_logits: { file: string; positions: number[]; vocab: number };
  text: { tokens: number[]; argmax: number[]; margin: number[] };
  chats: Chat[];
}

/** With f32 activations the choice must agree wherever the reference's margin is above this. */
export const margin = 0.02;

/** Reads a golden; without `CHORD_GOLDEN` a test that needs one of the larger set is skipped, and says so. */
export function readGolden<T>(name: string): T {
  const path = findGolden(name);
  test.skip(path === null, "needs the larger set of results: CHORD_GOLDEN");
  return JSON.parse(readFileSync(path!, "utf8")) as T;
}

/** Expects the reference's choice at each of these first positions that has a clear margin. */
export function expectSameChoices(golden: { argmax: number[]; margin: number[] }, choices: number[]): void {
  const sure = choices.map((_, index) => index).filter((index) => golden.margin[index]! > margin);
  expect(sure.map((index) => choices[index])).toEqual(sure.map((index) => golden.argmax[index]));
}
