// The state of the page and how it changes, without a browser.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Store, initial, reduce } from '../store.js';

// after gives the state after some events.
const after = (...events) => events.reduce((state, event) => reduce(state, event), initial);
const session = { id: 1, name: 'a.elf' };

describe('phases', () => {
  test('loading until the program is there, then by what is open and what runs', () => {
    const begin = { type: 'begin', title: 'x', at: 'bar', now: 0 };
    assert.equal(initial.phase, 'loading');
    assert.equal(after(begin).phase, 'loading', 'a file may wait for the program');
    assert.equal(after({ type: 'ready' }).phase, 'empty');
    assert.equal(after({ type: 'ready' }, begin).phase, 'busy');
    assert.equal(after({ type: 'ready' }, begin, { type: 'end' }).phase, 'empty');
    assert.equal(after({ type: 'ready' }, { type: 'opened', session }).phase, 'open');
    assert.equal(after({ type: 'ready' }, { type: 'opened', session }, begin).phase, 'busy');
    assert.equal(after({ type: 'ready' }, { type: 'opened', session }, { type: 'closed' }).phase, 'empty');
    assert.equal(after({ type: 'ready' }, begin, { type: 'stopped' }).phase, 'stopped');
  });
});

describe('events', () => {
  test('none changes the state it was given, and an unknown one is an error', () => {
    const state = Object.freeze({ ...initial, ready: true });
    const next = reduce(state, { type: 'line', text: 'a' });
    assert.equal(state.log, '');
    assert.equal(next.log, 'a\n');
    assert.throws(() => reduce(state, { type: 'nonsense' }), /no such event/);
  });

  test('what changes nothing gives the same state, so that nobody draws', () => {
    const busy = after({ type: 'ready' }, { type: 'begin', title: 'x', at: 'bar', now: 0 }, { type: 'progress', stage: 's', done: 1, total: 9, now: 1 });
    assert.equal(reduce(busy, { type: 'progress', stage: 's', done: 2, total: 9, now: 2 }), busy);
    assert.equal(reduce(initial, { type: 'progress', stage: 's', done: 2, total: 9, now: 2 }), initial, 'a count that comes late');
    assert.equal(reduce(initial, { type: 'session', change: { name: 'x' } }), initial, 'nothing is open');
    let told = 0;
    const store = new Store();
    store.subscribe(() => told++);
    store.dispatch({ type: 'session', change: {} });
    assert.equal(told, 1);
  });

  test('one notice for each place; work at a place takes away what was said there', () => {
    const notice = (at, text) => ({ type: 'notice', notice: { at, text } });
    const texts = (state) => state.notices.map((n) => n.text);
    assert.deepEqual(texts(after(notice('bar', 'a'), notice('dump', 'b'), notice('bar', 'c'))), ['b', 'c']);
    assert.deepEqual(texts(after(notice('symbols', 'a'), notice('dump', 'b'), { type: 'begin', title: 'x', at: 'dump', now: 0 })), ['a']);
    assert.deepEqual(texts(after(notice('bar', 'a'), { type: 'dismiss', at: 'bar' })), []);
    assert.equal(after(notice('bar', 'heard')).said, 'heard');
    assert.equal(after({ type: 'notice', notice: { at: 'bar', fault: {} } }).said, '', 'a fault is an alert of its own');
  });

  test('another session keeps nothing of what panels remembered', () => {
    const state = after({ type: 'opened', session }, { type: 'ui', panel: 'races', change: { find: 'x' } }, { type: 'ui', panel: 'races', change: { open: true } });
    assert.deepEqual(state.ui, { races: { find: 'x', open: true } });
    assert.deepEqual(reduce(state, { type: 'opened', session: { ...session, id: 2 } }).ui, {});
  });
});

// All that changes is in the store: no module keeps state of its own.
test('no module-level mutable state', () => {
  const web = join(import.meta.dirname, '..'), found = [];
  for (const name of readdirSync(web, { recursive: true })) {
    // What runs in a worker is another program; main.js puts the parts together.
    if (!/^[^.]+\.js$/.test(name) || /^(test\/|worker\.js|sw\.js|boot\.js|words\.js)/.test(name)) continue;
    for (const [i, line] of readFileSync(join(web, name), 'utf8').split('\n').entries()) {
      if (/^(let|var)\b/.test(line)) found.push(`${name}:${i + 1}: ${line}`);
      if (/^const \w+ = (new (Map|Set|WeakMap|Array)\(|\[\];|\{\};)/.test(line)) found.push(`${name}:${i + 1}: ${line}`);
    }
  }
  assert.deepEqual(found, []);
});
