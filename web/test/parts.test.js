// Making the dump's Blob of its description, without a browser.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { MAX_PARTS, dumpBlob, streamed } from '../download.js';
import { zeros } from '../blobtree.js';

// program is the Go program's side: a dump described by parts of which the
// content is known; what the page has it stream is counted.
function program(parts) {
  const layout = [], literals = [], whole = [];
  for (const { from, at = 0, bytes } of parts) {
    layout.push(from, at, bytes.length);
    whole.push(...bytes);
    if (from === -1) literals.push(...bytes);
  }
  const computed = [];
  return {
    whole: Uint8Array.from(whole), computed,
    description: { size: whole.length, layout: Float64Array.from(layout), literals: Uint8Array.from(literals) },
    fault: (code, text) => new Error(`${code}: ${text}`),
    async call(method, at, size) {
      assert.equal(method, 'stream');
      computed.push([at, size]);
      return new Blob([Uint8Array.from(whole.slice(at, at + size))]);
    },
  };
}

const file = Uint8Array.from({ length: 50000 }, (_, i) => (i * 7) ^ (i >> 8));
const ofFile = (at, n) => ({ from: 0, at, bytes: file.slice(at, at + n) });
const made = (from, n, value) => ({ from, bytes: new Uint8Array(n).fill(value) });

test('only what must be computed is streamed, each into a Blob of its own', async () => {
  const p = program([made(-1, 100, 1), ofFile(777, 20000), made(-3, 4096, 5), ofFile(30000, 9000), made(-2, 3000, 0), made(-1, 50, 2), made(-3, 10, 6), ofFile(0, 10),
    ...Array.from({ length: 30 }, (_, i) => ofFile(i * 3, 5))]);
  const blob = await dumpBlob(p, p.description, new Blob([file]));
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), p.whole);
  assert.deepEqual(p.computed, [[20100, 4096], [36246, 10]]);
});

test('a dump of very many parts is streamed whole', async () => {
  const p = program(Array.from({ length: MAX_PARTS + 1 }, () => made(-1, 1, 3)));
  const blob = await dumpBlob(p, p.description, new Blob([file]));
  assert.equal(blob.size, MAX_PARTS + 1);
  assert.deepEqual(p.computed, [[0, MAX_PARTS + 1]]);
});

test('what takes its time is known from the description', () => {
  const of = (...layout) => streamed({ size: 0, layout: Float64Array.from(layout), literals: new Uint8Array(0) });
  assert.equal(of(-1, 0, 4096, 0, 7, 64e9, -3, 0, 4096, -2, 0, 30e9), false, 'one page of 64 GB');
  assert.equal(of(-1, 0, 4096, -3, 0, 1e9), true);
  assert.equal(of(...Array(3 * MAX_PARTS + 3).fill(0)), true);
});

test('zeros of any number are few Blobs', async () => {
  const MiB = 1 << 20;
  for (const bytes of [0, 5, MiB, 8 * MiB, 77 * MiB + 3, 700 * MiB]) {
    const parts = await zeros(bytes);
    assert.equal(parts.reduce((sum, p) => sum + (p.size ?? p.length), 0), bytes);
    assert.ok(parts.length <= 1 + 7 * 4, `${parts.length} Blobs`);
  }
  const some = new Uint8Array(await new Blob(await zeros(9 * MiB + 7)).arrayBuffer());
  assert.ok(some.every((b) => b === 0));
});
