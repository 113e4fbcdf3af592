// The one table of what can be done, without a browser.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { byKey, command, commands, redacted, run } from '../commands.js';
import { desk } from './lib/fakes.js';

// context gives commands a page that is none, and what was asked of it.
function context(state) {
  const asked = [], { controller, store, file, drop } = desk(state);
  const page = new Proxy({}, { get: (_, name) => (...args) => { asked.push([name, ...args]); return false; } });
  return { asked, file, drop, context: { controller, store, page } };
}

describe('the table', () => {
  test('each command has an id, a name and keys of its own', () => {
    const ids = commands.map((c) => c.id), keys = commands.flatMap((c) => c.keys || []);
    assert.deepEqual([...new Set(ids)], ids);
    assert.deepEqual([...new Set(keys)], keys);
    for (const c of commands) assert.ok(c.name && typeof c.when === 'function' && typeof c.run === 'function', c.id);
    for (const c of commands) if (c.hidden) assert.equal(c.keys, undefined, `${c.id} needs an argument: no key can give one`);
  });

  test('the keys of old', () => {
    for (const [key, id] of Object.entries({ 'Ctrl+O': 'open', 'Ctrl+S': 'save', Escape: 'cancel', '?': 'help', 'Ctrl+Shift+P': 'palette' })) assert.equal(byKey(key).id, id);
    assert.equal(byKey('x'), undefined);
  });

  test('every command that the page names is in it', () => {
    const web = join(import.meta.dirname, '..'), named = new Set();
    for (const name of readdirSync(web, { recursive: true })) {
      if (!/^(frame|panels)\/.*\.js$|^(main|session|opened|job)\.js$/.test(name)) continue;
      const text = readFileSync(join(web, name), 'utf8');
      for (const [, id] of text.matchAll(/\b(?:act|button)\('([a-z-]+)'|command: '([a-z-]+)'/g)) if (id) named.add(id);
      for (const [, id] of text.matchAll(/command: '([a-z-]+)'/g)) named.add(id);
    }
    assert.ok(named.size > 15, [...named].join(' '));
    for (const id of named) command(id);
    assert.throws(() => command('no-such'), /no such command/);
  });

  test('what cannot be done now is not done, and a key says so', async () => {
    const { asked, context: c, drop, file } = context({ phase: 'empty' });
    assert.equal(run(c, 'save'), false);
    assert.deepEqual(asked, []);
    assert.match(c.store.state.notices[0].text, /^Save the dump: not now/);
    await drop(file('vm.elf', 'core'));
    assert.equal(run(c, 'save'), true);
    assert.deepEqual(asked, [['save']]);
  });

  test('nothing offers to ask the network where nothing is to be asked', async () => {
    const { context: c, drop, file } = context({ offline: true, build: { demo: 'demo/x', symbols: true } });
    assert.equal(command('demo').when({ ...c.store.state, phase: 'empty' }), false);
    await drop(file('vm.elf', 'core'));
    assert.equal(command('symbols').when(c.store.state), false);
    assert.equal(command('symbols').when({ ...c.store.state, offline: false }), true);
  });

  test('Escape cancels what runs, else closes what is said', async () => {
    const { context: c, drop, file } = context();
    await drop(file('a.png', 'png'));
    assert.equal(c.store.state.notices.length, 1);
    run(c, 'cancel');
    assert.deepEqual(c.store.state.notices, []);
  });
});

test('without addresses: none is left, nor the PDB’s identity; the rest stays', () => {
  const log = '0.1 cpu0: rip 0xfffff80312a24083 cr3 0x1ad000, 12584859 bytes\nsymbols: asking http://h/symbols/ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1/ntkrnlmp.pdb\n'
    + 'PDB bb8fba4d-bdc8-eaf7-4c4c-44205044422e age 1; bug check 0xd1 ffffe00123456789\n';
  assert.equal(redacted(log), '0.1 cpu0: rip … cr3 …, 12584859 bytes\nsymbols: asking http://h/symbols/ntkrnlmp.pdb/…/ntkrnlmp.pdb\nPDB … age 1; bug check 0xd1 …\n');
});
