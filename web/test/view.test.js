// What the page says of a summary, without a browser.
import { afterEach, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { copyText } from '../copy.js';
import { size } from '../format.js';
import { advance, begin } from '../progress.js';
import { commandLine, facts, racesText, verdict, windbgLines } from '../view.js';

afterEach(() => { delete globalThis.document; });

describe('the lines for WinDbg', () => {
  const lines = (url, has) => windbgLines(new URL(url), has);
  test('one line to paste; Microsoft’s server always comes first', () => {
    assert.deepEqual(lines('https://host/symbols', false), ['.symfix C:\\symbols; .reload; !analyze -v']);
    assert.deepEqual(lines('https://host/symbols', true), ['.symfix C:\\symbols', '.sympath+ srv*C:\\symbols*https://host/symbols', '.reload; !analyze -v']);
  });

  test('a server that the debugger’s machine does not reach by this name is not named', () => {
    for (const host of ['localhost', 'localhost:8080', 'a.localhost', '127.0.0.1:9401', '127.1.2.3', '[::1]:80', '0.0.0.0:8080']) {
      assert.deepEqual(lines(`http://${host}/symbols`, true), lines('https://host/symbols', false), host);
    }
    for (const host of ['127.example', 'localhost.example', '128.0.0.1', '[fe80::1]']) assert.equal(lines(`http://${host}/symbols`, true).length, 3, host);
  });
});

describe('the verdict', () => {
  const options = { compat: false, type: '', registers: '' };
  const of = (summary, session = {}) => verdict({ summary: { file: { format: 'elf' }, guest: { os: 'windows' }, symbols: { status: 'none-needed' }, convert: { possible: true, needs: [] }, ...summary }, options, changed: false, dump: null, ...session });

  test('what stands in the way', () => {
    assert.equal(of({}), 'It can be converted.');
    assert.equal(of({}, { options: { ...options, compat: true } }), 'It cannot be converted yet: elf2dmp’s way needs the kernel’s PDB.');
    assert.equal(of({ convert: { possible: false, needs: ['symbols-offline'] } }), 'It cannot be converted yet: the kernel’s PDB is needed.');
    assert.equal(of({ error: { text: 'no block' } }), 'It cannot be converted yet: no block.');
    assert.equal(of({ error: { text: 'no way' }, guest: { os: 'unknown' } }), 'Only what the file says of itself is known.');
    assert.match(of({}, { changed: true }), /no longer what it was/);
  });
});

describe('the command line', () => {
  // line gives the command line of a core that can be converted.
  function line({ name = 'vm.elf', status = 'none-needed', from = null, possible = true, os = 'windows', ...options } = {}) {
    return commandLine({ file: { name, format: 'elf' }, guest: { os }, convert: { possible }, symbols: { status, from } }, { compat: false, type: '', registers: '', ...options });
  }

  test('without a PDB nobody is asked, unless it is needed', () => {
    assert.equal(line(), 'coredrop convert -symbols none vm.elf vm.dmp');
    assert.equal(line({ type: 'bitmap' }), 'coredrop convert -type bitmap -symbols none vm.elf vm.dmp');
    assert.equal(line({ status: 'missing' }), 'coredrop convert -symbols none vm.elf vm.dmp');
    for (const status of ['needed', 'missing']) assert.equal(line({ status, possible: false }), 'coredrop convert vm.elf vm.dmp');
    assert.equal(line({ registers: 'live' }), 'coredrop convert -registers live -symbols none vm.elf vm.dmp');
    assert.equal(line({ compat: true }), 'coredrop convert -compat elf2dmp vm.elf vm.dmp');
  });

  test('the snapshot of a disk image is named where there are several', () => {
    const of = (snapshots, os) => commandLine({ file: { name: 'vm.qcow2', format: 'qcow2', snapshots }, guest: { os }, convert: { possible: true }, symbols: {} }, { compat: false, type: '' });
    const two = [{ id: '1', name: 'a b', opened: true }, { id: '2', name: 'c', opened: false }];
    assert.equal(of(two, 'windows'), "coredrop convert -snapshot 'a b' -symbols none vm.qcow2 vm.qcow2.dmp");
    assert.equal(of(two, 'linux'), "coredrop kcsan -snapshot 'a b' vm.qcow2");
    assert.equal(of(two.slice(0, 1), 'windows'), 'coredrop convert -symbols none vm.qcow2 vm.qcow2.dmp');
  });

  test('a dropped PDB is named as the command line reads a symbol path', () => {
    const given = (file) => line({ status: 'found', from: { kind: 'file', name: file } });
    assert.equal(given('ntkrnlmp.pdb'), 'coredrop convert -symbols ntkrnlmp.pdb vm.elf vm.dmp');
    assert.equal(given('my kernel.pdb'), "coredrop convert -symbols 'my kernel.pdb' vm.elf vm.dmp");
    assert.equal(given('-k.pdb'), 'coredrop convert -symbols ./-k.pdb vm.elf vm.dmp');
    assert.equal(given('none'), 'coredrop convert -symbols ./none vm.elf vm.dmp');
    assert.equal(given(' k.pdb'), "coredrop convert -symbols './ k.pdb' vm.elf vm.dmp");
    for (const name of ['a;b.pdb', 'a*b.pdb', 'k.pdb ']) assert.equal(given(name), 'coredrop convert vm.elf vm.dmp');
    assert.equal(line({ status: 'found', from: { kind: 'file', name: 'k.pdb' }, compat: true }), 'coredrop convert -compat elf2dmp -symbols k.pdb vm.elf vm.dmp');
  });

  test('a PDB of this server is asked of it, one of the browser’s cache of the usual places', () => {
    globalThis.document = { baseURI: 'https://host/drop/index.html' };
    assert.equal(line({ status: 'found', from: { kind: 'server', name: 'https://host/drop/symbols' } }), "coredrop convert -symbols 'srv**https://host/drop/symbols' vm.elf vm.dmp");
    globalThis.document = { baseURI: 'http://host/' };
    assert.equal(line({ status: 'found', from: { kind: 'server', name: 'https://host/drop/symbols' } }), 'coredrop convert vm.elf vm.dmp', 'it asks no server without https');
    assert.equal(line({ status: 'found', from: { kind: 'cache', name: '' } }), 'coredrop convert vm.elf vm.dmp');
  });

  test('names are words of a shell, and no flags', () => {
    assert.equal(line({ name: '-vm.elf' }), 'coredrop convert -symbols none ./-vm.elf ./-vm.dmp');
    assert.equal(line({ name: "it's $HOME.elf" }), "coredrop convert -symbols none 'it'\\''s $HOME.elf' 'it'\\''s $HOME.dmp'");
    assert.equal(line({ name: '-my vm.elf', os: 'linux' }), "coredrop kcsan './-my vm.elf'");
  });
});

describe('the facts', () => {
  // fact gives one value of a summary.
  function fact(term, part) {
    return new Map(facts({ file: { name: 'vm.elf', size: 1, format: 'elf' }, guest: { os: 'windows', version: '' }, ...part })).get(term);
  }

  test('the format and the time in words', () => {
    assert.equal(fact('Format'), 'ELF core');
    assert.equal(fact('Format', { file: { name: 'a', size: 1, format: 'log' } }), 'kernel log');
    assert.equal(fact('Format', { file: { name: 'a', size: 1, format: 'new' } }), 'new');
    assert.equal(fact('Stopped at', { guest: { version: '', system_time: '2023-10-23T20:58:17.7370836Z' } }), '2023-10-23 20:58:17 UTC');
    assert.equal(fact('Stopped at', { guest: { version: '', system_time: '' } }), undefined);
  });

  test('which CPUs were in the kernel', () => {
    const cpus = (...modes) => fact('CPUs', { cpus: modes.map((mode, index) => ({ index, mode })) });
    const k = 'kernel', u = 'user';
    assert.equal(cpus(k, k, k, k, u, k, u), '7; in the kernel: 0–3, 5');
    assert.equal(cpus(u, k), '2; in the kernel: 1');
    assert.equal(cpus(u, u), '2; in the kernel: none');
    assert.equal(cpus('', ''), '2', 'no state is known');
    assert.equal(fact('CPUs', { cpus: [] }), undefined);
  });

  test('the holes between the runs of memory', () => {
    const memory = (bytes, ...runs) => fact('Memory', { memory: { bytes, runs: runs.map(([start, bytes]) => ({ start, bytes })) } });
    assert.equal(memory(4096, ['0x1000', 4096]), '4.1 kB (4,096 bytes) in 1 run');
    assert.equal(memory(8192, ['0x0', 4096], ['0x1000', 4096]), '8.2 kB (8,192 bytes) in 2 runs', 'they only differ in where the file has them');
    assert.equal(memory(8192, ['0x0', 4096], ['0x3000', 4096]), '8.2 kB (8,192 bytes) in 2 runs; 1 hole of 8.2 kB (8,192 bytes) between them');
    assert.equal(memory(12288, ['0x0', 4096], ['0x2000', 4096], ['0x8000000000002000', 4096]), '12 kB (12,288 bytes) in 3 runs; 2 holes of 9223 PB (9,223,372,036,854,776,000 bytes) between them');
    assert.equal(memory(1 << 20, ['0x0', 4096], ['0x2000', 4096]), '1.0 MB (1,048,576 bytes) in more than 2 runs; more than 1 hole of more than 4.1 kB (4,096 bytes) between them');
    assert.equal(fact('Memory', { file: { name: 'a', size: 1, format: 'log' }, memory: { bytes: 0, runs: [] } }), undefined);
  });

  test('how the kernel was found', () => {
    const tables = (dtb_from) => fact('Page tables', { windows: { dtb: '0x1000', dtb_from } });
    assert.equal(tables({ way: 'cr3', cpu: 0 }), '0x1000, from CR3 of CPU 0');
    assert.equal(tables({ way: 'kernel-gs', cpu: 0 }), '0x1000, from memory at the kernel GS base of CPU 0 + 0x7000');
    assert.equal(tables({ way: 'low-stub', cpu: null }), '0x1000, from the start-up stub in low memory');
    assert.equal(tables({ way: 'new', cpu: null }), '0x1000, from new');
    const block = (found_by, encoded) => fact('Debugger block', { windows: { kdbg: { va: '0x2000', encoded, found_by } } });
    assert.equal(block('known-plaintext', true), '0x2000, encoded, found by values that it must hold');
    assert.equal(block('plain', false), '0x2000, in clear, found by its tag in memory');
    assert.equal(block('pdb', true), '0x2000, encoded, found with the PDB');
    assert.equal(block('new', true), '0x2000, encoded, found new');
  });
});

test('one rule of units, here and on the command line', () => {
  const table = JSON.parse(readFileSync(join(import.meta.dirname, '../../core/words/testdata/bytes.json'), 'utf8'));
  assert.ok(table.length >= 15);
  for (const [bytes, text] of table) assert.equal(size(bytes, false), text);
});

describe('progress', () => {
  test('stages that read memory count bytes, headers are counted', () => {
    for (const stage of ['fetching k.pdb', 'preparing the dump', 'saving', 'computing SHA-256', 'searching memory', 'reading the index']) {
      assert.equal(advance(begin('', 0), stage, 4096, 2000000, 1000).text, `${stage}: 4.1 kB of 2.0 MB`);
    }
    assert.equal(advance(begin('', 0), 'headers', 4096, 2000000, 1000).text, 'headers: 4,096 of 2,000,000');
  });

  test('at most ten wordings a second, but the first and the last count of a stage', () => {
    const worded = [], heard = [];
    let now = 1000, progress = begin('', now);
    const count = (stage, done, total) => {
      const next = advance(progress, stage, done, total, now);
      if (next !== progress) {
        worded.push(next.text);
        if (next.said) heard.push(next.said);
      }
      progress = next;
    };
    for (let done = 0; done <= 2000; done++) {
      count('saving', done, 2000);
      now += 1;
    }
    assert.equal(worded.length, 21);
    assert.match(worded.at(-1), /^saving: 2.0 kB of 2.0 kB/);
    assert.equal(progress.percent, 100);
    assert.deepEqual(heard, ['saving', 'saving: 60 %', 'saving: 70 %', 'saving: 80 %', 'saving: 90 %', 'saving: 100 %']);
    count('headers', 1, 5);
    assert.equal(worded.at(-1), 'headers: 1 of 5');
    count('fetching k.pdb', 7, 0);
    assert.equal(worded.at(-1), 'fetching k.pdb: 7 bytes');
    assert.equal(progress.percent, null, 'how much there is is not known');
  });
});

test('race reports: different ones, and how often they came', () => {
  const text = (reports, kcsan) => racesText({ file: { format: 'elf' }, reports, linux: { kcsan } });
  assert.equal(text([{}, {}], { printed: 3, residue: 1 }), '2 different race reports: 3 printed, 1 residue.');
  assert.equal(text([{}], { in_flight: 1 }), '1 race report: 1 in flight.');
});

describe('copying without a clipboard object', () => {
  // copy copies a text in a page of a button and nothing else; works says whether
  // the browser lets it. It gives what was said, and the text's area.
  async function copy(works) {
    const area = { focus() { document.activeElement = area; }, select() { area.selected = true; }, setAttribute() {}, scrollIntoView() {}, remove() { area.there = false; } };
    const button = { focus() { document.activeElement = button; } };
    const document = { activeElement: button, createElement: () => area, body: { append() { area.there = true; } }, execCommand: () => works };
    globalThis.document = document;
    Object.defineProperty(globalThis, 'navigator', { configurable: true, value: {} });
    let said = '';
    await copyText('a text', (text) => { said = text; });
    return { said, area, button };
  }

  test('the focus goes back to the button', async () => {
    const { said, area, button } = await copy(true);
    assert.equal(said, 'copied');
    assert.equal(area.there, false);
    assert.equal(document.activeElement, button);
  });

  test('the text stays selected for Ctrl+C while it has the focus', async () => {
    const { said, area } = await copy(false);
    assert.match(said, /Ctrl\+C/);
    assert.equal(document.activeElement, area);
    assert.ok(area.there && area.selected && area.value === 'a text');
    area.onblur();
    assert.equal(area.there, false);
  });
});
