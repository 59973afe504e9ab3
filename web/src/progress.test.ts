import { describe, expect, test } from "vitest";
import { LOAD_STAGES, type LoadProgress, ProgressMeter } from "./progress.js";

function meterWithClock() {
  const reports: (LoadProgress & { time: number })[] = [];
  const clock = { time: 0 };
  const meter = new ProgressMeter(
    (progress) => reports.push({ ...progress, time: clock.time }),
    () => clock.time,
  );
  return { reports, clock, meter };
}

/** Two seconds of a download of 100 MB, a report of bytes every 5 ms, kernels compiled on the way. */
function download() {
  const run = meterWithClock();
  const { clock, meter } = run;
  meter.opened(100e6, false);
  meter.engine("header");
  meter.engine("prepare");
  for (clock.time = 5; clock.time <= 2_000; clock.time += 5) {
    if (clock.time === 300) meter.engine("weights");
    meter.arrived(clock.time * 50_000, clock.time * 50_000, clock.time === 2_000);
  }
  meter.engine("ready");
  clock.time = 2_100;
  meter.ready();
  return run.reports;
}

describe("a download", () => {
  test("goes through the stages in order", () => {
    const stages = [...new Set(download().map(({ stage }) => stage))];
    expect(stages).toEqual(["header", "compile", "download", "upload", "ready"]);
  });

  test("is reported as one while bytes come that the engine does not take yet", () => {
    const { reports, clock, meter } = meterWithClock();
    meter.opened(100e6, false);
    meter.engine("header");
    const at = (time: number, loaded: number, done = false) => {
      clock.time = time;
      meter.arrived(loaded, loaded, done);
      return reports.at(-1)!;
    };
    expect(at(300, 50e6)).toMatchObject({
      stage: "download",
      text: expect.stringMatching(/^Downloading: 50 of 100 MB/),
    });
    meter.engine("prepare");
    expect(at(600, 80e6)).toMatchObject({ stage: "download", text: expect.stringMatching(/^Downloading/) });
    expect(at(900, 100e6, true)).toMatchObject({ stage: "download", text: "Compiling kernels" });
    meter.engine("weights");
    expect(reports.at(-1)).toMatchObject({ stage: "upload", text: expect.stringMatching(/^Loading/) });
  });

  test("never goes back", () => {
    const reports = download();
    for (const [index, { stage, loaded, progress }] of reports.entries()) {
      const before = reports[index - 1];
      if (!before) continue;
      expect(LOAD_STAGES.indexOf(stage)).toBeGreaterThanOrEqual(LOAD_STAGES.indexOf(before.stage));
      expect(loaded).toBeGreaterThanOrEqual(before.loaded);
      expect(progress).toBeGreaterThanOrEqual(before.progress);
    }
    expect(reports.at(-1)).toMatchObject({ stage: "ready", progress: 1, loaded: 100e6, total: 100e6, etaMs: 0 });
  });

  test("reports at most ten times in any second", () => {
    const times = download().map(({ time }) => time);
    for (const start of times) {
      expect(times.filter((time) => time >= start && time < start + 1_000).length).toBeLessThanOrEqual(10);
    }
    expect(times.length).toBeGreaterThan(8);
  });

  test("reports speed and time left", () => {
    const middle = download().find(({ time }) => time >= 1_000)!;
    expect(middle.bytesPerSecond).toBeGreaterThan(49e6);
    expect(middle.bytesPerSecond).toBeLessThan(51e6);
    expect(middle.etaMs).toBeCloseTo(2_000 - middle.time, -1);
    expect(middle).toMatchObject({
      fromCache: false,
      text: expect.stringMatching(/^Downloading: 5\d of 100 MB, 50 MB\/s$/),
    });
  });
});

test("a load from the store has no download", () => {
  const { reports, clock, meter } = meterWithClock();
  meter.opened(100e6, true);
  meter.engine("prepare");
  meter.engine("weights");
  for (clock.time = 0; clock.time < 1_000; clock.time += 50) meter.arrived(clock.time * 1e5, 0, true);
  meter.ready();
  expect(reports.map(({ stage }) => stage)).not.toContain("download");
  expect(reports.every(({ fromCache }) => fromCache)).toBe(true);
});

test("a stored file with one bad chunk is a download from then on", () => {
  const { reports, clock, meter } = meterWithClock();
  meter.opened(100, true);
  meter.engine("weights");
  meter.arrived(50, 0, false);
  clock.time = 500;
  meter.arrived(60, 10, false);
  expect(reports.at(-1)).toMatchObject({ stage: "upload", fromCache: false });
});
