// Counts what the test runners report, and keeps going after a failure so that one run shows all of them.

import { stripVTControlCharacters } from "node:util";
import { line, step } from "../steps/console.mjs";

const shownFailures = 20;
const shownLines = 8;

/** A test's name and the first lines of its failure, for readers who see only the output. */
export function failure(name, message = "") {
  const lines = stripVTControlCharacters(message)
    .split("\n")
    .map((text) => text.trim())
    .filter(Boolean);
  return [name, ...lines.slice(0, shownLines).map((text) => `  ${text}`)].join("\n");
}

export class Tally {
  passed = 0;
  failed = 0;
  #failures = [];

  /**
   * One step of the test run. `action` returns a note, or the counts of a test runner:
   * `{ passed, failed, leftOut?: { name, why }[], failures?: string[], note? }`, the failures as `failure` words them.
   * Tests that were left out are listed by name. A step that only passes or fails counts as one test.
   */
  async check(name, action) {
    let leftOut = [];
    try {
      await step(name, async () => {
        const result = await action();
        if (typeof result !== "object" || result === null) {
          this.passed += 1;
          return result;
        }
        this.passed += result.passed;
        if (result.failed > 0) throw new TestFailure(result);
        leftOut = result.leftOut ?? [];
        const left = leftOut.length ? `, ${leftOut.length} left out` : "";
        return `${result.passed} passed${left}${result.note ? `; ${result.note}` : ""}`;
      });
      listLeftOut(leftOut);
      return true;
    } catch (error) {
      this.failed += error instanceof TestFailure ? error.counts.failed : 1;
      this.#failures.push(name);
      return false;
    }
  }

  /** Marks a step that could not be tried because an earlier one failed. */
  blocked(name, by) {
    line(`FAIL            ${name}: not run, it needs "${by}"`);
    this.failed += 1;
    this.#failures.push(name);
  }

  summary() {
    if (this.#failures.length) line(`\nFailed: ${this.#failures.join("; ")}`);
    line(`\n${this.passed} passed, ${this.failed} failed`);
  }
}

class TestFailure extends Error {
  constructor(counts) {
    const failures = counts.failures ?? [];
    const shown = failures.slice(0, shownFailures);
    if (failures.length > shown.length) shown.push(`and ${failures.length - shown.length} more`);
    const names = shown.map((text) => `\n${text}`.replaceAll("\n", "\n         ")).join("");
    super(`${counts.passed} passed, ${counts.failed} failed${names}`);
    this.counts = counts;
    this.next = counts.next;
    this.stack = "";
  }
}

/** Names of tests that were left out, by reason. */
function listLeftOut(tests) {
  const byReason = new Map();
  for (const { name, why } of tests) byReason.set(why, [...(byReason.get(why) ?? []), name]);
  for (const [why, names] of byReason) line(`       left out, ${why}: ${names.join(", ")}`);
}
