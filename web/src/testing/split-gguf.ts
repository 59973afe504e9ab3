/** Splits a GGUF file as llama.cpp's gguf-split does: every part is a GGUF file with `split.*` in its metadata. */

import { padded, parsePart } from "../source/gguf-parts.js";

/** The parts of a file, with about the same number of tensors each. */
export function splitGguf(bytes: Uint8Array, count: number): Uint8Array<ArrayBuffer>[] {
  const header = parsePart(bytes);
  if (!header) throw new Error("not a GGUF file");
  const { tensors, alignment, dataStart } = header;
  const offsetOf = ({ buffer, byteOffset, length }: Uint8Array) =>
    Number(new DataView(buffer, byteOffset + length - 8).getBigUint64(0, true));
  const each = Math.ceil(tensors.length / count);
  return Array.from({ length: count }, (_, no) => {
    const own = tensors.slice(no * each, (no + 1) * each);
    const following = tensors[(no + 1) * each];
    const first = offsetOf(own[0]!);
    const end = dataStart + (following && no + 1 < count ? offsetOf(following) : bytes.length - dataStart);
    const split = [...entry("split.no", 2, no, 2), ...entry("split.count", 2, count, 2)];
    split.push(...entry("split.tensors.count", 5, tensors.length, 4));
    const kv = no === 0 ? [...header.kv, ...split] : split;
    const start = [...little(0x46554747, 4), ...little(header.version, 4), ...little(own.length, 8)];
    start.push(...little(no === 0 ? Number(header.kvCount) + 3 : 3, 8), ...kv);
    for (const tensor of own) start.push(...tensor.subarray(0, -8), ...little(offsetOf(tensor) - first, 8));
    const data = bytes.subarray(dataStart + first, end);
    const part = new Uint8Array(padded(start.length, alignment) + data.length);
    part.set(start);
    part.set(data, part.length - data.length);
    return part;
  });
}

function entry(key: string, type: number, value: number, size: number): number[] {
  return [...little(key.length, 8), ...new TextEncoder().encode(key), ...little(type, 4), ...little(value, size)];
}

function little(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, byte) => Number((BigInt(value) >> BigInt(8 * byte)) & 255n));
}
