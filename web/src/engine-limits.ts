// Generated from rust/engine by `npm run generate`: what the engine and the SDK must agree on.

/** Numbers of a request. Left out or null, each has its default. */
export interface NumberFields {
  /** Divides the logits before the draw; 0 takes the most likely token. From 0 to 100; 0.8 if left out. */
  temperature?: number | null;
  /**
   * Keeps the most likely tokens that together reach this probability: 1 keeps all, 0 only the most likely one. From 0
   * to 1; 0.95 if left out.
   */
  top_p?: number | null;
  /** Keeps this many of the most likely tokens; 0 keeps all. From 0 to 4294967295; 40 if left out. */
  top_k?: number | null;
  /** Drops tokens less likely than this share of the most likely one; 0 drops none. From 0 to 1; 0.05 if left out. */
  min_p?: number | null;
  /**
   * Divides positive and multiplies negative logits of tokens seen lately; 1 changes nothing. From 0.01 to 100; 1 if
   * left out.
   */
  repeat_penalty?: number | null;
  /** Another name for `repeat_penalty`. */
  repetition_penalty?: number | null;
  /**
   * How many of the latest tokens (prompt included) the penalty looks at; 0 for none. From 0 to 4294967295; 64 if left
   * out.
   */
  repeat_last_n?: number | null;
  /**
   * Most tokens to generate. Without it up to the end of the context in a chat, 16 in a completion. From 1 to
   * 4294967295.
   */
  max_tokens?: number | null;
  /** Another name for `max_tokens`. */
  max_completion_tokens?: number | null;
  /** The same seed, prompt, model and device give the same text. From 0 to 9007199254740991. */
  seed?: number | null;
}

/** The range of a number. Both bounds belong to it. */
export interface NumberRange {
  name: keyof NumberFields;
  /** Another name for it. */
  alias?: keyof NumberFields;
  whole: boolean;
  least: number;
  most: number;
}

/** Numbers that say how tokens are chosen. */
export const SAMPLING_RANGES = [
  { name: "temperature", whole: false, least: 0, most: 100 },
  { name: "top_p", whole: false, least: 0, most: 1 },
  { name: "top_k", whole: true, least: 0, most: 4294967295 },
  { name: "min_p", whole: false, least: 0, most: 1 },
  { name: "repeat_penalty", alias: "repetition_penalty", whole: false, least: 0.01, most: 100 },
  { name: "repeat_last_n", whole: true, least: 0, most: 4294967295 },
] as const satisfies readonly NumberRange[];

export const MAX_TOKENS_RANGE: NumberRange = {
  name: "max_tokens",
  alias: "max_completion_tokens",
  whole: true,
  least: 1,
  most: 4294967295,
};

export const SEED_RANGE: NumberRange = { name: "seed", whole: true, least: 0, most: 9007199254740991 };

/** Most strings that can end an answer. */
export const MAX_STOP_STRINGS = 16;

/** Tokens of a completion that asks for no number. */
export const COMPLETION_MAX_TOKENS = 16;

/** Most threads of the CPU. */
export const MOST_THREADS = 64;

/** Bytes that a model can have on the CPU with addresses of 32 bits. */
export const ROOM_OF_32_BITS = 3758096384;

/** What the data of a GGUF file is aligned to that says nothing. */
export const DEFAULT_ALIGNMENT = 32;
