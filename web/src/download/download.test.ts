import { expect, test } from "vitest";
import { ChordError } from "../errors.js";
import { withResolvers } from "../queue.js";
import type { RemoteBody, RemoteSource } from "../source/source.js";
import { BufferPool } from "./buffers.js";
import { Download } from "./download.js";
import { Gate } from "./gate.js";

const file = { size: 8, chunkBytes: 4, etag: null, lastModified: null };

/** A body of zeros that fails when it is told to. */
class FakeBody implements RemoteBody {
  readonly etag = null;
  readonly lastModified = null;
  readonly size = file.size;
  readonly ranged = true;
  cancelled = false;

  constructor(
    public position: number,
    readonly end: number,
    private readonly failure?: ChordError,
  ) {}

  read(target: Uint8Array): Promise<number> {
    if (this.failure) return Promise.reject(this.failure);
    this.position += target.length;
    return Promise.resolve(target.length);
  }

  cancel(): void {
    this.cancelled = true;
  }
}

function download(open: RemoteSource["open"], gate = new Gate(), first?: RemoteBody): Download {
  const source: RemoteSource = { url: "https://host/model.gguf", open };
  const missing = new Set([0, 1]);
  const options = { missing, all: true, gate, buffers: new BufferPool(2), connections: 1 };
  return new Download(source, file, { ...options, deliver: () => Promise.resolve() }, first);
}

test("a failure before any request is reported to the first request, and then retried", async () => {
  const wrong = new ChordError("bad-response", "goes on after its end");
  let opened = 0;
  const running = download((start, end) =>
    Promise.resolve(new FakeBody(start, end, opened++ === 0 ? wrong : undefined)),
  );
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(opened).toBe(1);
  await expect(running.want(0)).rejects.toBe(wrong);
  expect((await running.want(0)).length).toBe(4);
});

test("a body that comes while the download is paused is closed, and requested again", async () => {
  const gate = new Gate();
  const bodies: FakeBody[] = [];
  const late = withResolvers<RemoteBody>();
  const running = download((start, end) => {
    const body = new FakeBody(start, end);
    bodies.push(body);
    return bodies.length === 1 ? late.promise : Promise.resolve(body);
  }, gate);
  const wanted = running.want(0);
  await expect.poll(() => bodies.length).toBe(1);
  gate.set(true);
  late.resolve(bodies[0]!);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(bodies.map(({ cancelled }) => cancelled)).toEqual([true]);
  gate.set(false);
  expect((await wanted).length).toBe(4);
});

test("a body that was opened before a paused download began is closed", () => {
  const gate = new Gate();
  gate.set(true);
  const first = new FakeBody(0, 4);
  download(() => Promise.reject(new Error("nothing is asked for")), gate, first);
  expect(first.cancelled).toBe(true);
});
