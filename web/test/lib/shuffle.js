// A core whose pages lie in the file in shuffled order, one program header
// each: no two neighbours of memory are neighbours in the file, so the dump has
// as many parts as pages.
import { readFileSync, writeFileSync } from 'node:fs';

const PAGE = 4096, HEADER = 64, PROGRAM = 56, LOAD = 1, NOTE = 4;

// shuffle writes such a core from one of few loads, with extra pages of memory
// behind the last so that there are more than count.
export function shuffle(from, to, count) {
  const core = readFileSync(from);
  const u = (at) => Number(core.readBigUInt64LE(at));
  const table = u(32), entries = core.readUInt16LE(56);
  const pages = [];
  let notes = null, end = 0;
  for (let i = 0; i < entries; i++) {
    const p = table + i * PROGRAM, type = core.readUInt32LE(p);
    const offset = u(p + 8), physical = u(p + 24), bytes = u(p + 32);
    if (type === NOTE) notes = core.subarray(offset, offset + bytes);
    if (type !== LOAD) continue;
    for (let at = 0; at + PAGE <= bytes; at += PAGE) pages.push([physical + at, core.subarray(offset + at, offset + at + PAGE)]);
    end = Math.max(end, physical + bytes);
  }
  for (let i = 0; pages.length <= count; i++) pages.push([end + i * PAGE, Buffer.alloc(PAGE, i & 0xff)]);
  // A fixed sequence (Numerical Recipes' generator), so that a failure repeats.
  let seed = 1;
  const order = pages.map((_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  const place = new Map(order.map((index, slot) => [index, slot]));
  const notesAt = HEADER + PROGRAM * (pages.length + 1);
  const dataAt = Math.ceil((notesAt + notes.length) / PAGE) * PAGE;
  const out = Buffer.alloc(dataAt + pages.length * PAGE);
  core.copy(out, 0, 0, HEADER);
  out.writeBigUInt64LE(BigInt(HEADER), 32);
  out.writeBigUInt64LE(0n, 40);
  out.writeUInt16LE(pages.length + 1, 56);
  out.fill(0, 58, 64);
  const header = (i, type, offset, physical, bytes) => {
    const p = HEADER + i * PROGRAM;
    out.writeUInt32LE(type, p);
    [offset, 0, physical, bytes, bytes].forEach((n, k) => out.writeBigUInt64LE(BigInt(n), p + 8 + 8 * k));
  };
  header(0, NOTE, notesAt, 0, notes.length);
  notes.copy(out, notesAt);
  pages.forEach(([physical, bytes], i) => {
    const at = dataAt + place.get(i) * PAGE;
    header(i + 1, LOAD, at, physical, PAGE);
    bytes.copy(out, at);
  });
  writeFileSync(to, out);
}
