// What the page saves is what the command line writes, byte for byte.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byCommandLine, corpus, demo, hasCorpus, root, sha256, symbolStore, unpack, unpackFile, work } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';
import { shuffle } from './lib/shuffle.js';

const skip = hasCorpus ? false : 'the corpus is not here';

for (const kind of kinds) {
  describe(`conversion in ${kind}`, () => {
    let server, driver, idle = null; // a page that the test before has left in order
    before(async () => {
      server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });

    // one converts a core and checks what was saved.
    // A PDB that an earlier test gave is in the browser's cache, and with a PDB
    // one flag more of the kernel is known: the command line gets it as well.
    async function one(core, { drop = false, pdb, compat = false, snapshot = '', type = '' } = {}) {
      const view = idle || await driver.visit(server.url);
      idle = null;
      const files = pdb ? [core, pdb] : [core];
      await (drop ? view.drop(...files) : view.pick(...files));
      await view.settled();
      if (snapshot) { // the first that is offered
        assert.match(await view.failed('snapshot-choice'), new RegExp(`"${snapshot}"`));
        await view.press('[data-offer=open-anyway]');
      }
      if (compat) await view.press('#compat');
      if (type) await view.page.select('#type', type);
      const prepared = await view.page.$('#prepare') ? await view.text('#panel-dump') : '';
      if (prepared) await view.press('#prepare');
      await view.converted();
      const { status } = (await view.summary()).symbols;
      if (pdb) assert.equal(status, 'found');
      const flags = ['-symbols', status !== 'found' ? 'none' : core.includes('demo') || core.includes('shuffled') ? demo().pdb : symbolStore];
      const file = await view.save();
      assert.equal(await sha256(file), await byCommandLine(core, ...(compat ? ['-compat', 'elf2dmp'] : []), ...(snapshot ? ['-snapshot', snapshot] : []), ...(type ? ['-type', type] : []), ...flags));
      assert.deepEqual(view.foreign(), []);
      assert.deepEqual(view.symbolRequests(), []);
      assert.deepEqual(view.errors, []);
      return Object.assign(view, { prepared });
    }

    // done closes what is open; the next test goes on with the page.
    async function done(view) {
      await view.click('#close');
      await view.page.waitForFunction(() => document.documentElement.dataset.phase === 'empty');
      idle = view;
    }

    test('the demo core, picked; the SHA-256 shown is the file’s', async () => {
      const view = await one(demo().core);
      assert.equal(await view.text('#opened-name'), 'Windows guest: demo.elf');
      await view.click('#hash');
      await view.visible('#hash-value');
      assert.equal(await view.text('#hash-value'), `SHA-256 ${await byCommandLine(demo().core, '-symbols', 'none')}`);
      assert.match(await view.text('#command'), /^coredrop convert -symbols none demo\.elf demo-\d{8}-\d{4}\.dmp/);
      assert.match(await view.text('#dump-text'), /verified/);
      assert.match(await view.text('#windbg'), /!analyze -v/);
      await view.click('#recheck');
      await view.page.waitForFunction(() => document.querySelector('[data-notice=dump]')?.textContent.includes('as it was'));
      await done(view);
    });

    test('the demo core and its PDB, dropped together, with the compat profile', async () => {
      const { core, pdb } = demo();
      const view = await one(core, { drop: true, pdb, compat: true });
      await done(view);
    });

    test('pages in shuffled order: more than 4,000 parts, streamed', async () => {
      const core = join(work, 'shuffled.elf');
      shuffle(demo().core, core, 4500);
      const view = await one(core, { pdb: demo().pdb });
      assert.ok(Number(/It has ([\d,]+) parts/.exec(view.prepared)[1].replaceAll(',', '')) > 4000);
      assert.match(await view.text('#log'), /Preparing the dump/);
      await view.click('#hash');
      await view.visible('#hash-value');
      assert.equal(await view.text('#hash-value'), `SHA-256 ${await byCommandLine(core, '-symbols', demo().pdb)}`);
      await done(view);
    });

    for (const name of ['kd-mixed.shuffled', 'mdf-snappy1-flat', 'kd-lost.raw']) {
      test(`the demo's guest in ${name}, which is unpacked here`, async () => {
        const view = await one(unpackFile(join(root, 'core/container/kdump/testdata', `${name}.kdump.zst`)));
        assert.match(await view.text('#dump-text'), /verified/);
        await done(view);
      });
    }
    for (const name of ['kd-zlib.raw', 'kd-zstd.qemu']) {
      test(`the same in ${name}`, { skip }, async () => done(await one(unpackFile(join(corpus, 'containers/30-tiny', `${name}.kdump.zst`)))));
    }

    test('a saved VM state, which the page indexes first', async () => {
      const view = await one(unpackFile(join(root, 'core/container/savevm/testdata/fixture.qevm.zst')));
      assert.match(await view.text('#dump-text'), /verified/);
      await done(view);
    });
    for (const name of ['libvirt-sparse/mini.save', 'live/state.qevm']) {
      test(`a saved VM state, ${name}`, { skip }, async () => done(await one(unpackFile(join(corpus, 'savevm', `${name}.zst`)))));
    }

    for (const type of ['kernel', 'triage']) {
      test(`the demo core as a ${type} dump`, async () => done(await one(demo().core, { type })));
    }

    test('a snapshot in a disk image, chosen of two', { skip }, async () => {
      const view = await one(unpackFile(join(corpus, 'savevm/q35-cpu4/disk.qcow2.zst')), { snapshot: 'before' });
      assert.match(await view.text('#command'), /^coredrop convert -snapshot before -symbols none disk\.qcow2 /);
      await done(view);
    });

    test('02 by input', { skip }, async () => done(await one(unpack('02-cpu4-encoded'))));
    test('02 by drop', { skip }, async () => done(await one(unpack('02-cpu4-encoded'), { drop: true })));
    for (const name of ['09-paging', '10-bugcheck', '11-cpu16', '19-manyruns', '23-filter']) {
      test(name, { skip }, async () => done(await one(unpack(name))));
    }
    for (const name of ['02-cpu4-encoded', '10-bugcheck']) {
      test(`${name} with the compat profile`, { skip }, async () => {
        const view = await one(unpack(name), { compat: true, pdb: pdbOfCases() });
        await done(view);
      });
    }

    test('what is not a core is named, with a next step', async () => {
      const cases = {
        'empty-file': Buffer.alloc(0),
        'is-dmp': Buffer.concat([Buffer.from('PAGEDU64'), Buffer.alloc(8184)]),
        'kdump-compressed': Buffer.concat([Buffer.from('DISKDUMP'), Buffer.alloc(8184)]),
        'damaged-header': Buffer.from('\x7fELF\x02\x01'),
        'unknown-format': Buffer.from('hello, this is a text'),
      };
      const view = await driver.visit(server.url);
      for (const [code, bytes] of Object.entries(cases)) {
        const file = join(work, code);
        writeFileSync(file, bytes);
        await view.pick(file);
        assert.ok((await view.failed(code)).startsWith(`${code}: `), 'the file is named');
        assert.ok(await view.page.$$eval('.fault .steps li', (l) => l.length) > 0, code);
        assert.ok(await view.isVisible('#start'), 'another file can be chosen');
      }
      assert.deepEqual(view.errors, []);
      await view.page.close();
    });
  });
}

// pdbOfCases gives the PDB of all cases but the tiny one.
function pdbOfCases() {
  const dir = join(symbolStore, 'ntkrnlmp.pdb'), id = readdirSync(dir).find((n) => n.startsWith('2FD3'));
  return join(dir, id, 'ntkrnlmp.pdb');
}
