/** Which failures of a download pass by themselves, and when it is tried again. */

import { ChordError } from "../errors.js";
import type { Gate } from "./gate.js";
import type { DownloadSettings } from "./settings.js";
import type { StallWatch } from "./stall.js";

/** How often a request is retried, and with what pauses. */
export interface RetryPolicy {
  /** Attempts in a row without a byte, after which the error is reported. */
  attempts: number;
  /** The same for a host that has never answered: it is more likely wrong than busy. */
  firstAttempts: number;
  /** Milliseconds before the second attempt; each further pause is twice as long. */
  baseMs: number;
  /** The longest pause; a server that demands a longer one is not retried. */
  maxMs: number;
}

export const RETRY: RetryPolicy = { attempts: 7, firstAttempts: 3, baseMs: 500, maxMs: 60_000 };

/** The policy with a caller's settings. */
export function retryPolicy({ attempts = RETRY.attempts, retryMs = RETRY.baseMs }: DownloadSettings): RetryPolicy {
  return { ...RETRY, attempts, firstAttempts: Math.min(attempts, RETRY.firstAttempts), baseMs: retryMs };
}

/** Timeouts, too many requests, and a server or its proxy that is out of order. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * Milliseconds to wait before the next attempt, or `undefined` when there is to be none. `failures` counts this one;
 * `answered`: the host has sent bytes before. `random` is below 1, so that clients that failed together do not return
 * together.
 */
export function retryDelay(
  error: unknown,
  failures: number,
  answered: boolean,
  policy: RetryPolicy,
  random: number,
): number | undefined {
  if (!(error instanceof ChordError) || failures >= (answered ? policy.attempts : policy.firstAttempts)) {
    return undefined;
  }
  const growing = Math.min(policy.maxMs, policy.baseMs * 2 ** (failures - 1)) * (0.75 + random / 2);
  switch (error.code) {
    case "network-failed":
    case "network-stalled":
    case "short-body":
      return growing;
    case "http-status": {
      if (!PASSING.has(error.details["status"] as number)) return undefined;
      const asked = (error.details["retryAfterMs"] as number | undefined) ?? 0;
      return asked > policy.maxMs ? undefined : Math.max(asked, growing);
    }
    default:
      return undefined;
  }
}

/** Runs `work`, which contacts a host for the first time, until it succeeds or retrying is useless. */
export async function retrying<T>(
  work: () => Promise<T>,
  gate: Gate,
  policy: RetryPolicy,
  watch?: StallWatch,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    await gate.opened();
    try {
      return await (watch?.connected(work) ?? work());
    } catch (error) {
      const delay = retryDelay(error, failures, false, policy, Math.random());
      if (delay === undefined) throw error;
      await pause(delay, watch);
    }
  }
}

/** Waits before another attempt. */
export function pause(ms: number, watch?: StallWatch): Promise<void> {
  return watch?.pause(ms) ?? new Promise((later) => setTimeout(later, ms));
}
