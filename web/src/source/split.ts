import { ChordError } from "../errors.js";
import { HeaderTooShort, mergeHeaders, padded, parsePart, type PartHeader } from "./gguf-parts.js";
import type { HashedStretch, RemoteBody, RemoteSource } from "./source.js";

/** Headers are fetched in steps that begin with this many bytes and grow fourfold. */
const FIRST_BYTES = 256 * 1024;
/** Larger than any real header: a vocabulary of a quarter of a million entries takes about 10 MB. */
const MOST_BYTES = 256 * 1024 * 1024;
/** Larger than any real model's number of parts. */
const MOST_PARTS = 999;

const PART = /-(\d{5})-of-(\d{5})(\.gguf)(?=$|[?#])/i;

/** How many parts a model has, by the address of its first one; 1 for a whole file. */
export function partCount(url: string): number {
  const [, no, count] = PART.exec(url) ?? [];
  if (no === undefined) return 1;
  if (no !== "00001") {
    throw new ChordError("invalid-argument", `Give a split model by its first part, not by part ${Number(no)}`, {
      field: "source",
    });
  }
  if (Number(count) > MOST_PARTS) throw new ChordError("bad-split", `A model cannot have ${Number(count)} parts`);
  return Number(count);
}

/** Addresses of all parts. */
export function partUrls(first: string): string[] {
  const count = partCount(first);
  return Array.from({ length: count }, (_, part) =>
    first.replace(
      PART,
      (_match, _no, of: string, end: string) => `-${String(part + 1).padStart(5, "0")}-of-${of}${end}`,
    ),
  );
}

/** A stretch of the merged file: bytes in memory, or a range of a part. */
type Stretch = { start: number; end: number } & ({ bytes: Uint8Array } | { part: number; offset: number });

/**
 * The parts that llama.cpp's gguf-split writes, each a separate GGUF file, joined into the original file: the metadata
 * of the first, the tensors of all. That one file is stored.
 */
export class SplitSource implements RemoteSource {
  readonly url: string;
  private layout: Promise<Layout> | undefined;

  /** `hashes`: of the parts, in hexadecimal, as far as they are known. */
  constructor(
    private readonly parts: RemoteSource[],
    private readonly hashes: readonly (string | undefined)[] = [],
  ) {
    this.url = parts[0]!.url;
  }

  async hashed(): Promise<HashedStretch[]> {
    const { stretches = [], heads = [] } = (await this.layout) ?? {};
    return stretches.flatMap((stretch) => {
      const sha256 = "part" in stretch ? this.hashes[stretch.part] : undefined;
      if (!("part" in stretch) || sha256 === undefined) return [];
      const { start, end, part } = stretch;
      return [{ url: this.parts[part]!.url, start, end, before: heads[part]!, sha256 }];
    });
  }

  async open(start: number, end: number): Promise<RemoteBody> {
    this.layout ??= readLayout(this.parts);
    const layout = await this.layout.catch((error: unknown) => {
      this.layout = undefined;
      throw error;
    });
    return new SplitBody(this.parts, layout, start, Math.min(end, layout.size));
  }
}

interface Layout {
  size: number;
  stretches: Stretch[];
  etag: string | null;
  /** Sizes and validators of the parts, none of which may change. */
  files: { size: number; etag: string | null }[];
  /** The bytes before the data of each part. */
  heads: Uint8Array[];
}

async function readLayout(parts: RemoteSource[]): Promise<Layout> {
  const headers: PartHeader[] = [];
  const files: Layout["files"] = [];
  const heads: Uint8Array[] = [];
  for (const [no, part] of parts.entries()) {
    const { header, head, size, etag } = await readHeader(part);
    const [first = header] = headers;
    if ((header.no ?? no) !== no || (header.count ?? parts.length) !== parts.length || header.no === undefined) {
      const found = `split.no ${header.no} of split.count ${header.count}`;
      throw new ChordError("bad-split", `${part.url} is not part ${no} of ${parts.length}: it has ${found}`, {
        ...{ url: part.url, expected: { no, count: parts.length }, found: { no: header.no, count: header.count } },
      });
    }
    if (no > 0 && header.alignment !== first.alignment) {
      throw new ChordError(
        "bad-split",
        `${part.url} is aligned to ${header.alignment} bytes, the first part to ${first.alignment}`,
      );
    }
    headers.push(header);
    files.push({ size, etag });
    heads.push(head);
  }
  const { alignment } = headers[0]!;
  const lengths = headers.map(({ dataStart }, part) => Math.max(0, files[part]!.size - dataStart));
  const bases: number[] = [];
  let data = 0;
  for (const length of lengths) {
    bases.push(data);
    data += padded(length, alignment);
  }
  const header = mergeHeaders(headers, bases);
  const stretches: Stretch[] = [{ start: 0, end: header.length, bytes: header }];
  lengths.forEach((length, part) => {
    const start = header.length + bases[part]!;
    stretches.push({ start, end: start + length, part, offset: headers[part]!.dataStart });
    const padding = part === lengths.length - 1 ? 0 : padded(length, alignment) - length;
    if (padding > 0)
      stretches.push({ start: start + length, end: start + length + padding, bytes: new Uint8Array(padding) });
  });
  const etags = files.map(({ etag }) => etag);
  const etag = etags.some((one) => one === null) ? null : `"${etags.map((one) => one!.replace(/"/g, "")).join("+")}"`;
  return { size: stretches.at(-1)!.end, stretches, etag, files, heads };
}

/** The beginning of a part. */
interface Head {
  header: PartHeader;
  /** The bytes of the part before its data. */
  head: Uint8Array;
  size: number;
  etag: string | null;
}

async function readHeader(part: RemoteSource): Promise<Head> {
  for (let wanted = FIRST_BYTES; ; wanted *= 4) {
    const body = await part.open(0, wanted);
    try {
      const bytes = new Uint8Array(Math.min(wanted, body.end));
      for (let filled = 0; filled < bytes.length;) filled += await body.read(bytes.subarray(filled));
      const header = parsePart(bytes);
      if (!header) throw new ChordError("bad-split", `${part.url} is not a GGUF file`, { url: part.url });
      // The padding before the data counts in the part's hash.
      if (bytes.length < Math.min(header.dataStart, body.size)) throw new HeaderTooShort();
      return { header, head: bytes.slice(0, header.dataStart), size: body.size, etag: body.etag };
    } catch (error) {
      if (!(error instanceof HeaderTooShort)) throw error;
      if (wanted >= Math.min(body.size, MOST_BYTES)) {
        throw new ChordError("truncated", `${part.url} ends before its header does`, { url: part.url });
      }
    } finally {
      body.cancel();
    }
  }
}

/** A range of the merged file, read from one part after the other. */
class SplitBody implements RemoteBody {
  readonly ranged = true;
  readonly lastModified = null;
  readonly size: number;
  readonly etag: string | null;
  private body: RemoteBody | undefined;
  private cancelled = false;

  constructor(
    private readonly parts: RemoteSource[],
    private readonly layout: Layout,
    public position: number,
    readonly end: number,
  ) {
    [this.size, this.etag] = [layout.size, layout.etag];
  }

  async read(target: Uint8Array): Promise<number> {
    const { position } = this;
    const stretch = this.layout.stretches.find(({ start, end }) => position >= start && position < end)!;
    const room = Math.min(target.length, stretch.end - position, this.end - position);
    let count: number;
    if ("bytes" in stretch) {
      count = room;
      target.set(stretch.bytes.subarray(position - stretch.start, position - stretch.start + count));
    } else {
      this.body ??= await this.openPart(stretch.part, stretch.offset + position - stretch.start, stretch);
      count = await this.body.read(target.subarray(0, room));
      // A server may send less than requested.
      if (this.body.position >= this.body.end || position + count >= stretch.end) this.dropBody();
    }
    this.position += count;
    return count;
  }

  private async openPart(part: number, offset: number, stretch: Stretch): Promise<RemoteBody> {
    const until = offset + Math.min(stretch.end, this.end) - this.position;
    const { url } = this.parts[part]!;
    const body = await this.parts[part]!.open(offset, until);
    // Interrupted while it was opened, as by a pause: nothing has changed, and it can be retried.
    if (this.cancelled) {
      body.cancel();
      throw new ChordError("short-body", `The connection to ${url} was closed`, { url });
    }
    // From here on `cancel` reaches it.
    this.body = body;
    const { size, etag } = this.layout.files[part]!;
    if (body.size !== size || (etag !== null && body.etag !== null && etag !== body.etag)) {
      this.dropBody();
      const message = `${url} changed on the server while it was being read.`;
      throw new ChordError("source-changed", message, { url, expected: size, found: body.size });
    }
    // A server without ranges begins at the beginning.
    const passed = new Uint8Array(64 * 1024);
    while (body.position < offset) await body.read(passed.subarray(0, Math.min(passed.length, offset - body.position)));
    return body;
  }

  private dropBody(): void {
    this.body?.cancel();
    this.body = undefined;
  }

  cancel(): void {
    this.cancelled = true;
    this.dropBody();
  }
}
