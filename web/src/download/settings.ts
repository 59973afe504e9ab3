import { ChordError } from "../errors.js";

/** How a model is downloaded. The defaults suit most hosts. */
export interface DownloadSettings {
  /** Simultaneous connections to a server that supports ranges, 1 to 8. Default 3. */
  connections?: number;
  /**
   * Milliseconds without a byte after which a connection is replaced by a new one. After the same time without an open
   * connection or any other progress, a load rejects with `load-stalled`; stored data stays. A paused load waits, and
   * so does one whose model another tab downloads. Default 30,000.
   */
  stallMs?: number;
  /** Consecutive attempts without a byte after which the load fails. Default 7. */
  attempts?: number;
  /** Milliseconds before the second attempt; each further pause is twice as long. Default 500. */
  retryMs?: number;
  /** Bytes of a chunk, the unit of storing and checking. Default 16 MiB; stored models keep theirs. */
  chunkBytes?: number;
}

const LIMITS: Record<keyof DownloadSettings, [number, number]> = {
  connections: [1, 8],
  stallMs: [1, 3_600_000],
  attempts: [1, 1000],
  retryMs: [0, 60_000],
  chunkBytes: [4096, 64 * 1024 * 1024],
};

/** Checks what types cannot express. */
export function checkDownload(settings: DownloadSettings = {}): DownloadSettings {
  const checked: DownloadSettings = {};
  for (const [name, [least, most]] of Object.entries(LIMITS) as [keyof DownloadSettings, [number, number]][]) {
    const value = settings[name];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new ChordError(
        "invalid-argument",
        `download.${name} must be a whole number from ${least} to ${most}, not ${value}`,
        {
          field: `download.${name}`,
        },
      );
    }
    checked[name] = value;
  }
  return checked;
}
