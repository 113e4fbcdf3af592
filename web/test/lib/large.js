// A core with more memory than anybody wants to copy: the demo's, and a sparse
// run of zeros behind it.
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';

const PROGRAM = 56, LOAD = 1;

// enlarge writes a copy of a core whose file is about bytes long; the added
// memory begins at 4 GiB, where the core has none.
export function enlarge(from, to, bytes) {
  const core = readFileSync(from);
  const table = Number(core.readBigUInt64LE(32)), entries = core.readUInt16LE(56);
  const old = core.subarray(table, table + entries * PROGRAM);
  const tableAt = Math.ceil(core.length / 4096) * 4096, dataAt = tableAt + 4096;
  const header = Buffer.from(core.subarray(0, 64));
  header.writeBigUInt64LE(BigInt(tableAt), 32);
  header.writeUInt16LE(entries + 1, 56);
  const extra = Buffer.alloc(PROGRAM);
  extra.writeUInt32LE(LOAD, 0);
  const memory = Math.floor((bytes - dataAt) / 4096) * 4096;
  [dataAt, 0, 0x100000000, memory, memory].forEach((n, i) => extra.writeBigUInt64LE(BigInt(n), 8 + 8 * i));
  const file = openSync(to, 'w');
  writeSync(file, core, 0, core.length, 0);
  writeSync(file, header, 0, 64, 0);
  writeSync(file, old, 0, old.length, tableAt);
  writeSync(file, extra, 0, PROGRAM, tableAt + old.length);
  ftruncateSync(file, dataAt + memory);
  closeSync(file);
}
