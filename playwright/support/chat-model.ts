/**
 * The tiny Llama of `golden/tiny` with a chat template: it loads at once, writes nonsense, and stops late.
 */

import { readFileSync } from "node:fs";
import type { Page } from "@playwright/test";
import { tinyModel } from "./places.mjs";

const template = "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}\n{% endfor %}a:";

/** Bytes of a value of each of GGUF's types, except strings (8) and arrays (9). */
const sizes: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const alignment = 32;

/** The model's file: 512 tokens of context, a token for about every letter. */
export function tinyChatModel(): Buffer {
  return withString(readFileSync(tinyModel), "tokenizer.chat_template", template);
}

/** Loads it by the page's own field for files. */
export async function chooseTinyChat(page: Page): Promise<void> {
  await page.getByRole("radio", { name: "File" }).check();
  const file = { name: "tiny-chat.gguf", mimeType: "application/octet-stream", buffer: tinyChatModel() };
  await page.locator("#file").setInputFiles(file);
  await page.getByRole("button", { name: "Load model" }).click();
}

/** A GGUF file with one more string among its metadata. */
function withString(file: Buffer, key: string, value: string): Buffer {
  const tensors = Number(file.readBigUInt64LE(8));
  const entries = Number(file.readBigUInt64LE(16));
  let at = 24;
  const skipString = () => (at += 8 + Number(file.readBigUInt64LE(at)));
  const skipValue = (type: number) => {
    if (type === 8) skipString();
    else if (type === 9) {
      const inner = file.readUInt32LE(at);
      const count = Number(file.readBigUInt64LE(at + 4));
      at += 12;
      for (let index = 0; index < count; index++) skipValue(inner);
    } else at += sizes[type]!;
  };
  for (let index = 0; index < entries; index++) {
    skipString();
    const type = file.readUInt32LE(at);
    at += 4;
    skipValue(type);
  }
  const metadataEnd = at;
  for (let index = 0; index < tensors; index++) {
    skipString();
    at += 4 + 8 * file.readUInt32LE(at) + 4 + 8;
  }
  const head = Buffer.from(file.subarray(0, metadataEnd));
  head.writeBigUInt64LE(BigInt(entries + 1), 16);
  const type = Buffer.alloc(4);
  type.writeUInt32LE(8);
  const directory = file.subarray(metadataEnd, at);
  const header = Buffer.concat([head, string(key), type, string(value), directory]);
  const padding = Buffer.alloc((alignment - (header.length % alignment)) % alignment);
  return Buffer.concat([header, padding, file.subarray(Math.ceil(at / alignment) * alignment)]);
}

function string(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}
