// A long summary in pieces, without a browser.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { apart, together } from '../pieces.js';

const value = {
  schema: 1, name: 'a "name"', none: null, list: [1, 2], windows: { base: '0x1', modules: Array.from({ length: 300 }, (_, i) => ({ name: `m${i}`, base: `0x${i}` })), empty: [] },
  threads: Array.from({ length: 200 }, (_, i) => ({ tid: i, stack: Array.from({ length: 9 }, (_, j) => ({ at: i * j })) })), huge: ['x'.repeat(5000)], text: 'y'.repeat(3000),
};

test('what was taken apart is the same when it is together again', async () => {
  const json = JSON.stringify(value, null, 2), pieces = apart(json, 1000);
  let pauses = 0;
  assert.deepEqual(await together(pieces, async () => { pauses++; }), JSON.parse(json));
  assert.equal(pauses, pieces.parts.length);
  assert.deepEqual([...new Set(pieces.parts.map((p) => p.path.join('.')))], ['windows.modules', 'threads', 'huge']);
});

test('no piece is much longer than it may be, but for an element that is', () => {
  const pieces = apart(JSON.stringify(value), 1000);
  for (const { path, text } of pieces.parts) if (path[0] !== 'huge') assert.ok(text.length < 1300, `${path}: ${text.length}`);
  assert.ok(pieces.rest.length < 3500, `${pieces.rest.length}`);
});

test('what is short comes whole', () => {
  assert.equal(apart(JSON.stringify(value)), null);
});
