// What is done with files, at an engine that is none and without a browser.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { apart } from '../pieces.js';
import { desk, summary } from './lib/fakes.js';

const said = (store, at) => store.state.notices.find((n) => n.at === at);

describe('what was opened before', () => {
  // opened gives a desk at which a file with a handle was opened and closed.
  async function opened(handle) {
    const d = desk();
    await d.controller.take({ files: [d.file('vm.elf', 'core')], handles: [handle], folders: [], via: 'drop' });
    d.controller.close();
    await d.controller.listRecent();
    return { ...d, recent: d.store.state.recent };
  }

  test('a file is in the list, and opened again by its handle', async () => {
    const { store, controller, file, recent } = await opened({ file: () => file('vm.elf', 'core') });
    assert.deepEqual(recent.map((r) => [r.name, r.size]), [['vm.elf', 4]]);
    await controller.openRecent(recent[0]);
    assert.equal(store.state.session.name, 'vm.elf');
  });

  test('one without a handle is not', async () => {
    assert.deepEqual((await opened(null)).recent, []);
  });

  test('one that is gone is said, and off the list; one that may not be read stays', async () => {
    const gone = await opened({ file: () => { throw new Error('not found'); } });
    await gone.controller.openRecent(gone.recent[0]);
    assert.match(said(gone.store, 'start').text, /^vm\.elf is not where it was/);
    assert.deepEqual(gone.store.state.recent, []);
    const refused = await opened({ file: () => null });
    await refused.controller.openRecent(refused.recent[0]);
    assert.match(said(refused.store, 'start').text, /may not read it/);
    assert.equal(refused.store.state.recent.length, 1);
    await refused.controller.forgetRecent();
    assert.deepEqual(refused.store.state.recent, []);
  });
});

describe('looking before leaping', () => {
  test('one action from drop to a dump that can be saved', async () => {
    const { store, engine, drop, file } = desk();
    await drop(file('vm.elf', 'core'));
    assert.equal(store.state.phase, 'open');
    assert.match(store.state.session.dump.url, /^blob:/);
    assert.equal(store.state.session.dump.name, 'vm.dmp');
    assert.deepEqual(engine.calls, ['identify vm.elf', 'open vm.elf', 'inspect', 'convert', 'parts', 'unchanged', 'proof', 'hashRate']);
  });

  test('a summary that comes in pieces is read whole', async () => {
    const { store, engine, drop, file } = desk();
    const cpus = Array.from({ length: 50 }, (_, index) => ({ index }));
    for (const method of ['_inspect', '_convert']) {
      const first = engine[method].bind(engine);
      engine[method] = async () => {
        const { json } = await first(), long = JSON.stringify({ ...JSON.parse(json), cpus });
        return { json: long, pieces: apart(long, 200) };
      };
    }
    await drop(file('vm.elf', 'core'));
    assert.deepEqual(store.state.session.summary.cpus, cpus);
    assert.deepEqual(JSON.parse(store.state.session.json).cpus, cpus);
  });

  test('a program that is fetched on the way takes over how the file was', async () => {
    for (const grew of [false, true]) {
      const { store, engine, drop, file } = desk();
      engine.whole = async () => {
        engine.calls.push('whole');
        engine.changed = grew; // while the program was on its way
        return true;
      };
      await drop(file('vm.elf', 'linux'));
      const from = engine.calls.indexOf('proof');
      assert.deepEqual(engine.calls.slice(from, from + 5), ['proof', 'whole', 'open vm.elf', 'recall', 'unchanged']);
      assert.equal(store.state.phase, grew ? 'empty' : 'open');
      if (grew) assert.ok(store.state.notices.some((n) => n.fault?.code === 'file-changed'));
    }
  });

  test('a type of dump that the whole program makes', async () => {
    const { store, engine, drop, file, controller } = desk();
    await drop(file('vm.elf', 'core'), file('k.pdb', 'pdb'));
    let whole = false;
    engine.before = async (method) => { if (method === 'convert' && !whole) throw engine.fault('needs-whole'); };
    engine.whole = async () => {
      engine.calls.push('whole');
      engine.generation++;
      return whole = true;
    };
    engine.calls.length = 0;
    await controller.choose({ type: 'triage' });
    assert.deepEqual(engine.calls, ['convert', 'proof', 'whole', 'open vm.elf', 'recall', 'unchanged', 'inspect', 'give k.pdb', 'inspect', 'convert', 'parts', 'unchanged', 'proof']);
    assert.match(store.state.session.dump.url, /^blob:/);
    engine.before = async (method) => { if (method === 'convert') throw engine.fault('needs-whole'); };
    engine.whole = async () => false;
    await controller.choose({ type: 'full' });
    assert.equal(store.state.session.dump, null);
    assert.equal(said(store, 'dump').fault.code, 'needs-whole');
  });

  for (const [what, text, code] of [['a picture', 'png', 'other-format'], ['a core that cannot be read', 'broken', 'kernel-paged-state'],
    ['a text that is no log', 'text', 'unknown-format'], ['a file that is gone', 'gone', 'file-changed'], ['a packed PDB', 'packed-pdb', 'symbols-compressed']]) {
    test(`${what} over a finished dump costs nothing`, async () => {
      const { store, drop, file, asked, controller, engine } = desk();
      await drop(file('vm.elf', 'core'));
      const before = store.state.session;
      await drop(file('other', text));
      assert.equal(store.state.session, before);
      assert.equal(said(store, 'bar').fault.code, code);
      assert.equal(said(store, 'bar').subject, 'other');
      assert.ok(!asked.some((a) => a.startsWith('release')), 'the dump can still be saved');
      // What can be checked of the dump still can, whatever the worker has open now.
      engine.calls.length = 0;
      await controller.hash();
      assert.equal(store.state.session.dump.sha256, 'abcd');
      if (engine.calls.includes('open vm.elf')) assert.ok(engine.calls.indexOf('unchanged') > engine.calls.indexOf('recall'), 'it is still what it was');
    });
  }

  test('another PDB over a finished dump is refused and changes nothing; the right one is used', async () => {
    const { store, drop, file } = desk();
    await drop(file('vm.elf', 'core'));
    const before = store.state.session;
    await drop(file('k.pdb', 'other-pdb'));
    assert.equal(store.state.session, before);
    assert.equal(said(store, 'symbols').fault.code, 'symbols-mismatch');
    assert.equal(said(store, 'symbols').subject, 'k.pdb');
    await drop(file('k.pdb', 'pdb'));
    assert.equal(store.state.session.summary.symbols.status, 'none-needed', 'the last answer is the conversion’s');
    assert.notEqual(store.state.session.dump.url, before.dump.url);
    assert.equal(said(store, 'symbols'), undefined);
  });

  test('a usable core takes the place of what is open', async () => {
    const { store, drop, file, asked } = desk();
    await drop(file('one.elf', 'core'));
    const { url } = store.state.session.dump;
    await drop(file('two.elf', 'core'));
    assert.equal(store.state.session.name, 'two.elf');
    assert.ok(asked.includes(`release ${url}`));
  });

  test('core, packed PDB, picture, log, folder: the core is taken, the others are named', async () => {
    const { store, controller, file } = desk();
    await controller.take({ files: [file('a.png', 'png'), file('b.log', 'log'), file('c.elf', 'core'), file('d.pd_', 'packed-pdb'), file('e.elf', 'core')], handles: [], folders: ['f'], via: 'drop' });
    assert.equal(store.state.session.name, 'c.elf');
    const { text, offers } = said(store, 'aside');
    for (const name of ['a.png (this is a picture', 'b.log (one file', 'd.pd_ (this is cabinet', 'e.elf (one core', 'f (this is a folder']) assert.ok(text.includes(name), `${name} in ${text}`);
    assert.deepEqual(offers.map((o) => o.name), ['Open b.log', 'Open e.elf']);
  });

  test('a folder alone, several of no use: each is named', async () => {
    const { store, controller, file } = desk();
    await controller.take({ files: [], handles: [], folders: ['dumps'], via: 'drop' });
    assert.match(said(store, 'bar').fault.text, /folder/);
    assert.equal(said(store, 'bar').subject, 'dumps');
    await controller.take({ files: [file('a.png', 'png'), file('b.png', 'png')], handles: [], folders: [], via: 'drop' });
    assert.equal(said(store, 'bar').subject, 'a.png');
    assert.match(said(store, 'bar').text, /b\.png/);
  });

  test('what is no PDB is refused as that, by its name and where it was wanted', async () => {
    const { store, controller, file, drop } = desk();
    await drop(file('login.pdb', 'png'));
    assert.equal(said(store, 'bar').fault.code, 'symbols-not-a-pdb');
    await controller.take({ files: [file('download.blob', 'png')], handles: [], folders: [], via: 'pick', wanted: 'pdb' });
    assert.equal(said(store, 'bar').fault.code, 'symbols-not-a-pdb');
    await controller.take({ files: [file('download.blob', 'pdb')], handles: [], folders: [], via: 'pick', wanted: 'pdb' });
    assert.deepEqual(store.state.pdbs.map((p) => p.name), ['download.blob'], 'the name does not matter');
  });

  test('a Linux core, a log; pasted text that is none costs nothing', async () => {
    const { store, drop, file } = desk();
    await drop(file('l.elf', 'linux'));
    assert.equal(store.state.session.summary.guest.os, 'linux');
    assert.equal(store.state.session.dump, null);
    await drop(file('l.log', 'log'));
    assert.equal(store.state.session.name, 'l.log');
    const before = store.state.session;
    await drop(new File(['text by accident'], 'pasted.log', { type: 'text/plain' }));
    assert.equal(store.state.session, before);
    assert.match(said(store, 'bar').text, /no kernel log/);
  });
});

describe('an error hides nothing', () => {
  test('a cut core: what was found stays, what is missing is said before what follows', async () => {
    const { store, drop, file } = desk();
    await drop(file('cut.elf', 'broken'));
    assert.equal(store.state.session.summary.warnings.length, 1);
    const { fault, text, subject } = said(store, 'bar');
    assert.deepEqual([fault.code, fault.text, subject], ['truncated', 'the file ends early', 'cut.elf']);
    assert.match(text, /no page tables \[kernel-paged-state\]/);
  });

  test('refused over what is open, it can be shown all the same', async () => {
    const { store, drop, file, controller } = desk();
    await drop(file('vm.elf', 'core'));
    await drop(file('cut.elf', 'broken'));
    const [offer] = said(store, 'bar').offers;
    assert.equal(offer.command, 'open-anyway');
    await controller.openAnyway(offer.arg);
    assert.equal(store.state.session.name, 'cut.elf');
    assert.equal(said(store, 'bar').fault.code, 'truncated');
  });

  test('a disk image with two snapshots: one is chosen, and stays chosen when the worker is new', async () => {
    const { store, drop, file, controller, engine } = desk();
    await drop(file('vm.qcow2', 'disk'));
    assert.equal(store.state.session, null);
    const { fault, offers } = said(store, 'bar');
    assert.equal(fault.code, 'snapshot-choice');
    assert.deepEqual(offers.map((o) => o.name), ['2, 2026-11-29 00:00:00 UTC, 5 bytes', 'before, 2026-11-28 03:55:54 UTC, 1.6 MB']);
    await controller.openAnyway(offers[1].arg);
    assert.deepEqual([store.state.session.name, engine.snapshot], ['vm.qcow2', '1']);
    assert.equal(said(store, 'bar'), undefined);
    engine.generation++;
    engine.snapshot = '';
    await controller.recheck();
    assert.equal(engine.snapshot, '1');
  });

  test('a file that changed: the dump is withdrawn, what was found stays, it is offered again', async () => {
    const { store, drop, file, controller, engine, asked } = desk();
    await drop(file('vm.elf', 'core'));
    engine.changed = true;
    await controller.recheck();
    assert.equal(store.state.session.dump, null);
    assert.equal(store.state.session.changed, true);
    assert.equal(store.state.session.summary.guest.os, 'windows');
    assert.equal(said(store, 'dump').fault.code, 'file-changed');
    assert.deepEqual(said(store, 'dump').offers.map((o) => o.command), ['reopen']);
    await controller.reopen();
    assert.ok(asked.includes('pick file'), 'without a handle it has to be picked');
  });

  test('a file that changed is opened again by its handle', async () => {
    const { store, controller, file, engine } = desk();
    const handle = { getFile: async () => file('vm.elf', 'core again') };
    await controller.take({ files: [file('vm.elf', 'core')], handles: [Promise.resolve(handle)], folders: [], via: 'drop' });
    engine.changed = true;
    await controller.recheck();
    engine.changed = false;
    await controller.reopen();
    assert.equal(engine.open, 'core again');
    assert.equal(store.state.session.changed, false);
    assert.ok(store.state.session.dump.url);
  });

  test('a server that is gone is no fault of the page’s', async () => {
    const { store, controller } = desk({ build: { demo: 'demo/core.elf' } });
    await controller.demo();
    assert.notEqual(said(store, 'start').fault.code, 'internal');
    assert.match(said(store, 'start').fault.text, /could not be reached/);
  });

  test('what breaks in the page itself says so', async () => {
    const { store, drop, file, engine } = desk();
    engine._parts = async () => null;
    await drop(file('vm.elf', 'core'));
    assert.equal(said(store, 'bar').fault.code, 'internal');
    assert.equal(store.state.phase, 'open', 'and nothing is left running');
  });
});

describe('one thing at a time', () => {
  test('what comes meanwhile is offered next, files of two drops together', async () => {
    const { store, drop, file, controller } = desk();
    const first = drop(file('one.elf', 'core'));
    await drop(file('two.elf', 'core')); // within the same frame
    await drop(file('k.pdb', 'pdb'));
    assert.match(store.state.said, /k\.pdb is offered when this is done/);
    await first;
    assert.equal(store.state.session.name, 'one.elf');
    assert.equal(store.state.next.length, 2);
    await controller.openNext();
    assert.equal(store.state.session.name, 'two.elf');
    assert.deepEqual(store.state.next, []);
  });

  test('a cancel is a word where the action was, and no fault', async () => {
    const { store, drop, file, controller, engine } = desk();
    await drop(file('vm.elf', 'core'));
    const { dump } = store.state.session;
    engine.before = async (method) => {
      if (method !== 'sha256') return;
      await controller.cancel();
      throw engine.fault('cancelled');
    };
    await controller.hash();
    assert.equal(said(store, 'dump').text, 'Cancelled; the dump is still offered.');
    assert.equal(said(store, 'dump').fault, undefined);
    assert.deepEqual(store.state.session.dump, dump);
    assert.equal(store.state.phase, 'open');
  });

  test('cancelled while another core is looked at: what was open stays, and can be checked', async () => {
    const { store, drop, file, controller, engine } = desk();
    await drop(file('vm.elf', 'core'));
    engine.before = async (method) => { if (method === 'inspect') await controller.cancel(); };
    await drop(file('other.elf', 'core'));
    engine.before = async () => {};
    assert.equal(store.state.session.name, 'vm.elf');
    assert.match(said(store, 'bar').text, /^Cancelled; nothing was saved or sent/);
    engine.calls.length = 0;
    await controller.recheck();
    assert.deepEqual(engine.calls, ['open vm.elf', 'recall', 'unchanged', 'inspect', 'convert', 'unchanged']);
  });

  test('cancelled while the program is on its way', async () => {
    const { store, drop, file, controller, engine } = desk({ ready: false });
    engine.ready = new Promise(() => {});
    const dropped = drop(file('vm.elf', 'core'));
    await controller.cancel();
    await dropped;
    assert.match(said(store, 'bar').text, /^Cancelled/);
    assert.deepEqual(engine.calls, []);
  });

  test('a new worker gets what was open, with the PDB that was given', async () => {
    const { drop, file, controller, engine } = desk();
    await drop(file('vm.elf', 'core'), file('k.pdb', 'pdb'));
    engine.generation++;
    engine.calls.length = 0;
    await controller.hash();
    assert.deepEqual(engine.calls, ['open vm.elf', 'recall', 'unchanged', 'inspect', 'give k.pdb', 'inspect', 'convert', 'sha256']);
  });
});

describe('the dump', () => {
  test('of very many parts is prepared only when asked for', async () => {
    const { store, drop, file, controller, engine } = desk();
    engine.parts = { ...engine.parts, slow: true };
    await drop(file('vm.elf', 'core'));
    assert.deepEqual([store.state.session.dump.url, store.state.session.dump.bytes], ['', 8]);
    assert.ok(!engine.calls.includes('stream'));
    await controller.prepare();
    assert.ok(store.state.session.dump.url);
  });

  test('other options make another dump; options that cannot be met make none', async () => {
    const { store, drop, file, controller, engine } = desk();
    await drop(file('vm.elf', 'core'));
    engine.calls.length = 0;
    await controller.choose({ compat: true });
    assert.equal(store.state.session.dump, null);
    assert.deepEqual(engine.calls, []);
    await controller.choose({ compat: false, type: 'bitmap', registers: 'live' });
    assert.ok(store.state.session.dump.url);
    assert.deepEqual(store.state.session.options, { compat: false, type: 'bitmap', registers: 'live' });
  });

  test('a core that has changed by the time it is described is not offered', async () => {
    const { store, drop, file, engine } = desk();
    engine.changed = true;
    await drop(file('vm.elf', 'core'));
    assert.equal(store.state.session.dump, null);
    assert.equal(said(store, 'bar').fault.code, 'file-changed');
  });
});

describe('PDBs before a core', () => {
  test('wait on where a core names no kernel', async () => {
    const { store, drop, file, engine } = desk();
    await drop(file('a.pdb', 'pdb'));
    await drop(file('cut.elf', 'broken'));
    assert.deepEqual(store.state.pdbs.map((p) => p.name), ['a.pdb']);
    assert.equal(said(store, 'symbols'), undefined);
    await drop(file('vm.elf', 'core'));
    assert.ok(engine.calls.includes('give a.pdb'));
    assert.deepEqual(store.state.pdbs, []);
    assert.deepEqual(store.state.notices, [], 'what was said of it is over');
  });

  test('are checked, shown once, taken back, and used for the next core', async () => {
    const { store, drop, file, controller, engine } = desk();
    await drop(file('a.pdb', 'pdb'), file('b.pdb', 'other-pdb'));
    await drop(file('a-again.pdb', 'pdb'));
    assert.deepEqual(store.state.pdbs.map((p) => p.name), ['b.pdb', 'a-again.pdb']);
    controller.takeBack('ID-other-pdb');
    assert.deepEqual(store.state.pdbs.map((p) => p.name), ['a-again.pdb']);
    await drop(file('vm.elf', 'core'));
    assert.ok(engine.calls.includes('give a-again.pdb') && !engine.calls.includes('give b.pdb'));
    assert.deepEqual(store.state.pdbs, []);
  });
});

test('the fake says of a core what the session asks of a summary', () => {
  assert.equal(summary('x').convert.possible, true);
});

describe('source lines of a Linux core', () => {
  test('a vmlinux dropped on what is open is used, and used again in a new worker', async () => {
    const { store, engine, drop, file, controller } = desk();
    await drop(file('linux.core', 'linux'));
    await drop(file('vmlinux', 'vmlinux'));
    assert.equal(store.state.session.summary.linux.debug[0].name, 'vmlinux');
    assert.match(said(store, 'bar').text, /^Source lines of the kernel from vmlinux: 2\.0 kB /);
    engine.generation++;
    engine.calls.length = 0;
    await controller.hold();
    assert.ok(engine.calls.includes('debug vmlinux'));
  });

  test('dropped together with the core', async () => {
    const { store, engine, drop, file } = desk();
    await drop(file('vmlinux', 'vmlinux'), file('linux.core', 'linux'));
    assert.equal(store.state.session.name, 'linux.core');
    assert.ok(engine.calls.includes('debug vmlinux'));
  });

  test('another build’s is said and not kept; alone it is no core', async () => {
    const { store, engine, drop, file, controller } = desk();
    await drop(file('vmlinux', 'vmlinux'));
    assert.equal(said(store, 'bar').fault.code, 'other-format');
    assert.ok(!engine.calls.some((c) => c.startsWith('debug')));
    await drop(file('linux.core', 'linux'));
    await drop(file('vmlinux', 'vmlinux another'));
    assert.match(said(store, 'bar').text, /was not used/);
    assert.equal(store.state.session.summary.warnings[0].code, 'debug-mismatch');
    assert.deepEqual(controller.source.lines, []);
  });
});
