/**
 * Reads as much of a GGUF header as is needed to join the parts of a split model: where the metadata ends, which
 * tensors there are, and where their bytes begin. The engine's reader checks whether all of it makes sense.
 */

import { DEFAULT_ALIGNMENT } from "../engine-limits.js";

/** The header of one part. */
export interface PartHeader {
  version: number;
  kvCount: bigint;
  /** The metadata, as it is in the file. */
  kv: Uint8Array;
  /** Entries of the tensor directory as they are in the file; each one's last 8 bytes are the offset in the data. */
  tensors: Uint8Array[];
  alignment: number;
  /** First byte of the data section. */
  dataStart: number;
  /** `split.no` and `split.count`, where the part has them. */
  no: number | undefined;
  count: number | undefined;
}

/** Bytes of a value by its type; strings (8) and arrays (9) have no fixed size. */
const SIZES = new Map(
  [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12].map((type, at) => [type, [1, 1, 2, 2, 4, 4, 4, 1, 8, 8, 8][at]!]),
);
const STRING = 8;
const ARRAY = 9;

/** The bytes given end before the header does. */
export class HeaderTooShort extends Error {}

/** Parses the beginning of a part. Throws {@link HeaderTooShort} if more is needed; `undefined` if it is not GGUF. */
export function parsePart(bytes: Uint8Array): PartHeader | undefined {
  const cursor = new Cursor(bytes);
  if (cursor.u32() !== 0x46554747) return undefined;
  const version = cursor.u32();
  if (version !== 2 && version !== 3) return undefined;
  const [tensorCount, kvCount] = [cursor.u64(), cursor.u64()];
  const kvStart = cursor.at;
  const numbers = new Map<string, number>();
  for (let entry = 0n; entry < kvCount; entry++) {
    const key = cursor.text();
    const type = cursor.u32();
    if (/^(split\.(no|count)|general\.alignment)$/.test(key)) numbers.set(key, cursor.peek(type));
    cursor.skipValue(type);
  }
  const kv = bytes.subarray(kvStart, cursor.at);
  const tensors: Uint8Array[] = [];
  for (let tensor = 0n; tensor < tensorCount; tensor++) {
    const start = cursor.at;
    cursor.skip(cursor.length());
    cursor.skip(8 * cursor.u32());
    cursor.skip(4 + 8);
    tensors.push(bytes.subarray(start, cursor.at));
  }
  const alignment = numbers.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (alignment < 1) return undefined;
  const [no, count] = [numbers.get("split.no"), numbers.get("split.count")];
  return { version, kvCount, kv, tensors, alignment, dataStart: padded(cursor.at, alignment), no, count };
}

/** The next multiple of `alignment`. */
export function padded(length: number, alignment: number): number {
  return Math.ceil(length / alignment) * alignment;
}

/** One header for all parts, padded to its alignment. `bases`: where each part's data begins in the joined data. */
export function mergeHeaders(parts: PartHeader[], bases: number[]): Uint8Array<ArrayBuffer> {
  const [first] = parts as [PartHeader];
  const directory = parts.reduce(
    (sum, { tensors }) => sum + tensors.reduce((bytes, { length }) => bytes + length, 0),
    0,
  );
  const bytes = new Uint8Array(padded(24 + first.kv.length + directory, first.alignment));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x46554747, true);
  view.setUint32(4, first.version, true);
  view.setBigUint64(8, BigInt(parts.reduce((count, { tensors }) => count + tensors.length, 0)), true);
  view.setBigUint64(16, first.kvCount, true);
  bytes.set(first.kv, 24);
  let at = 24 + first.kv.length;
  parts.forEach(({ tensors }, part) => {
    for (const tensor of tensors) {
      bytes.set(tensor, at);
      at += tensor.length;
      view.setBigUint64(at - 8, view.getBigUint64(at - 8, true) + BigInt(bases[part]!), true);
    }
  });
  return bytes;
}

class Cursor {
  at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  skip(count: number): void {
    if (count > this.bytes.length - this.at) throw new HeaderTooShort();
    this.at += count;
  }

  u32(): number {
    this.skip(4);
    return this.view.getUint32(this.at - 4, true);
  }

  u64(): bigint {
    this.skip(8);
    return this.view.getBigUint64(this.at - 8, true);
  }

  /** A length, at most the number of remaining bytes. */
  length(): number {
    const length = this.u64();
    if (length > BigInt(this.bytes.length - this.at)) throw new HeaderTooShort();
    return Number(length);
  }

  text(): string {
    const length = this.length();
    this.skip(length);
    return new TextDecoder().decode(this.bytes.subarray(this.at - length, this.at));
  }

  /** The whole number that comes next, without advancing; of a 64-bit one the low half. */
  peek(type: number): number {
    const size = SIZES.get(type) ?? 0;
    let value = 0;
    for (let byte = Math.min(size, 4) - 1; byte >= 0; byte--) value = value * 256 + (this.bytes[this.at + byte] ?? 0);
    return value;
  }

  skipValue(type: number): void {
    const size = SIZES.get(type);
    if (size !== undefined) return this.skip(size);
    if (type === STRING) return this.skip(this.length());
    // The length of an unknown type is unknown: the part is reported as truncated.
    if (type !== ARRAY) throw new HeaderTooShort();
    const [inner, count] = [this.u32(), this.u64()];
    const innerSize = SIZES.get(inner);
    if (innerSize !== undefined) return this.skip(Number(count) * innerSize);
    for (let entry = 0n; entry < count; entry++) this.skipValue(inner);
  }
}
