// The strip of physical memory: which pieces are drawn, and how wide.

import { once } from './memo.js';

/**
 * A piece of the strip: a run, a hole, or several runs drawn as one.
 * @typedef {object} Segment
 * @property {string} from 0x…
 * @property {string} to the first address behind it
 * @property {number} bytes
 * @property {boolean} hole
 * @property {number} runs
 * @property {number} held bytes that the core holds
 * @property {number} x of 1000
 * @property {number} width of 1000
 */

const WIDTH = 1000;
const SEGMENTS = 32; // more cannot be told apart, nor be walked by key
const LEAST = 0.03; // of the whole strip: a piece is never too small to see

const hex = (/** @type {bigint} */ n) => `0x${n.toString(16)}`;

/**
 * strip lays runs and holes out. Each has at least its share; the rest of the width
 * goes by the logarithm of the size, so that no hole of 4 GB hides a run of 64 MB.
 * @param {import('./summary.js').Run[]} runs ascending
 * @returns {{segments: Segment[], place: (pa: string) => {segment: number, x: number, width: (bytes: number) => number} | null}}
 */
export function strip(runs) {
  const spans = grouped(runs), segments = /** @type {Segment[]} */ ([]), ends = /** @type {{from: bigint, to: bigint}[]} */ ([]);
  for (const [i, { from, to, runs: count, held }] of spans.entries()) {
    const before = i ? spans[i - 1].to : 0n;
    if (from > before && i) add(before, from, true, 0, 0);
    add(from, to, false, count, held);
  }
  /**
   * @param {bigint} from
   * @param {bigint} to
   * @param {boolean} hole
   * @param {number} count
   * @param {number} held
   */
  function add(from, to, hole, count, held) {
    ends.push({ from, to });
    segments.push({ from: hex(from), to: hex(to), bytes: Number(to - from), hole, runs: count, held, x: 0, width: 0 });
  }
  const least = Math.min(LEAST, 1 / Math.max(1, segments.length)) * WIDTH, rest = WIDTH - least * segments.length;
  const weights = segments.map((g) => Math.log2(g.bytes / 4096 + 2) * (g.hole ? 0.6 : 1)), all = weights.reduce((a, b) => a + b, 0) || 1;
  let x = 0;
  for (const [i, g] of segments.entries()) {
    g.x = round(x);
    g.width = round(least + rest * weights[i] / all);
    x += g.width;
  }
  return {
    segments,
    place(pa) {
      if (!/^0x[0-9a-f]+$/i.test(pa)) return null;
      const at = BigInt(pa), i = ends.findIndex((e) => e.from <= at && at < e.to), g = segments[i];
      if (!g || g.hole) return null;
      const part = (/** @type {bigint} */ n) => Number(n * 100000n / (ends[i].to - ends[i].from)) / 100000 * g.width;
      return { segment: i, x: round(g.x + part(at - ends[i].from)), width: (bytes) => round(part(BigInt(bytes))) };
    },
  };
}

const round = (/** @type {number} */ n) => Math.round(n * 100) / 100;

// grouped joins runs until few enough are left: those with the smallest holes between
// them first. Gaps are compared as plain numbers, for there may be 65,536 of them; what
// is shown is exact.
const grouped = once((/** @type {import('./summary.js').Run[]} */ runs) => {
  const start = Float64Array.from(runs, (r) => Number(r.start)), most = SEGMENTS / 2;
  /** @type {{i: number, gap: number}[]} */
  const widest = []; // holes behind run i, the widest first
  for (let i = 0; i + 1 < runs.length; i++) {
    const gap = start[i + 1] - start[i] - runs[i].bytes;
    if (gap <= 0 || widest.length === most - 1 && gap <= widest[most - 2].gap) continue;
    const at = widest.findIndex((w) => w.gap < gap);
    widest.splice(at < 0 ? widest.length : at, 0, { i, gap });
    widest.length = Math.min(widest.length, most - 1);
  }
  const ends = [...widest.map((w) => w.i).sort((a, b) => a - b), runs.length - 1], spans = [];
  let first = 0;
  for (const last of ends) {
    let held = 0, count = 1;
    for (let i = first; i <= last; i++) {
      held += runs[i].bytes;
      // Runs without a hole between them only differ in where the file has them.
      if (i > first && start[i] > start[i - 1] + runs[i - 1].bytes) count++;
    }
    spans.push({ from: BigInt(runs[first].start), to: BigInt(runs[last].start) + BigInt(runs[last].bytes), runs: count, held });
    first = last + 1;
  }
  return spans;
});
