import { ChordError } from "../errors.js";

/** How a model is downloaded. Whatever is left out has a default that suits most hosts. */
export interface DownloadSettings {
  /** Connections at once to a server that honours ranges, 1 to 8. Default 3. */
  connections?: number;
  /**
   * Milliseconds without a byte after which a connection is given up and another one made. As long as this, too, a load
   * waits when no connection is open and nothing else is under way, whatever the cause: then it rejects with
   * `load-stalled`, and what is stored stays. A paused load waits, and one whose model another tab downloads. Default
   * 30,000.
   */
  stallMs?: number;
  /** Attempts in a row that bring no byte, after which the load fails. Default 7. */
  attempts?: number;
  /** Milliseconds before the second attempt; each further pause is twice as long. Default 500. */
  retryMs?: number;
  /** Bytes of a chunk: what is stored and checked as one. Default 16 MiB; stored models keep theirs. */
  chunkBytes?: number;
}

const LIMITS: Record<keyof DownloadSettings, [number, number]> = {
  connections: [1, 8],
  stallMs: [1, 3_600_000],
  attempts: [1, 1000],
  retryMs: [0, 60_000],
  chunkBytes: [4096, 64 * 1024 * 1024],
};

/** Checks what types cannot. */
export function checkDownload(settings: DownloadSettings = {}): DownloadSettings {
  const checked: DownloadSettings = {};
  for (const [name, [least, most]] of Object.entries(LIMITS) as [keyof DownloadSettings, [number, number]][]) {
    const value = settings[name];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new ChordError(
        "invalid-argument",
        `download.${name} is a whole number of ${least} to ${most}, not ${value}`,
        {
          field: `download.${name}`,
        },
      );
    }
    checked[name] = value;
  }
  return checked;
}
