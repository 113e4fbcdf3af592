// The page as people use it: by keyboard alone, with a screen reader's rules,
// one thing at a time.
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, byCommandLine, demo, root, sha256, work } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

const axe = readFileSync(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8');

// violations runs axe-core in the state the page is in.
async function violations(view) {
  await view.page.evaluate(axe);
  const list = await view.page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations);
  return list.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}: ${v.nodes[0].failureSummary}`);
}

for (const kind of kinds) {
  for (const dark of [false, true]) {
    describe(`accessibility in ${kind}, ${dark ? 'dark' : 'light'}`, () => {
      let server, driver;
      before(async () => {
        server = await coredrop(['demo', '-addr', '127.0.0.1:0']);
        driver = await launch(kind, { dark });
      });
      after(async () => {
        await driver?.close();
        await server?.stop();
      });

      test('no violation in any state', async () => {
        const view = await driver.visit(server.url);
        if (dark) assert.ok(await view.page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches));
        assert.deepEqual(await violations(view), [], 'start');
        const text = join(work, 'text.txt');
        writeFileSync(text, 'no core');
        await view.pick(text);
        await view.failed();
        assert.deepEqual(await violations(view), [], 'failure');
        await view.pick(demo().pdb);
        await view.visible('#waiting');
        assert.deepEqual(await violations(view), [], 'a PDB that waits');
        await view.pick(demo().core, text);
        await view.settled();
        await view.converted();
        await view.click('#json-show');
        await view.page.$$eval('details', (all) => all.forEach((d) => { d.open = true; }));
        assert.deepEqual(await violations(view), [], 'open, with a word on what was left aside');
        await view.pick(text);
        await view.failed();
        assert.deepEqual(await violations(view), [], 'a refusal over what is open');
        for (const sheet of ['help', 'palette']) {
          await view.page.evaluate((id) => document.getElementById(id).showModal(), sheet);
          assert.deepEqual(await violations(view), [], sheet);
          await view.page.keyboard.press('Escape');
        }
        await view.page.evaluate(() => { document.getElementById('overlay').hidden = false; });
        assert.deepEqual(await violations(view), [], 'a drag over the page');
        await view.page.evaluate(() => { document.getElementById('overlay').hidden = true; });
        await view.page.setViewport({ width: 320, height: 640 });
        const wide = await view.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= 320, `320 pixels are enough: ${wide}`);
        await view.click('#close');
        await view.visible('#cached');
        assert.deepEqual(await violations(view), [], 'PDBs that are kept');
        for (const sample of ['#sample-crash', '#sample-races']) {
          await view.press(sample);
          if (sample === '#sample-crash') await view.press('#threads-read');
          await view.page.$$eval('#result details', (all) => all.forEach((d) => { d.open = true; }));
          assert.deepEqual(await violations(view), [], sample);
          const needs = await view.page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(needs <= 320, `${sample}: 320 pixels are enough: ${needs}`);
          await view.page.setViewport({ width: 1280, height: 800 });
          assert.deepEqual(await violations(view), [], `${sample}, wide`);
          await view.page.setViewport({ width: 320, height: 640 });
          await view.click('#close');
        }
        await view.page.close();
      });
    });
  }

  describe(`keyboard and order in ${kind}`, () => {
    let server, driver;
    before(async () => {
      server = await coredrop(['demo', '-addr', '127.0.0.1:0']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });

    // tabTo presses Tab until the element has the focus.
    async function tabTo(view, id) {
      for (let i = 0; i < 40; i++) {
        if (await view.page.evaluate(() => document.activeElement.id) === id) return;
        await view.page.keyboard.press('Tab');
      }
      throw new Error(`Tab does not lead to ${id}`);
    }

    test('the demo from start to the saved dump without a pointer', async () => {
      const view = await driver.visit(server.url);
      await view.page.keyboard.press('Tab');
      assert.equal(await view.page.evaluate(() => document.activeElement.id), 'file', 'the picker comes first');
      await tabTo(view, 'demo-open');
      await view.now();
      await view.page.keyboard.press('Enter');
      await view.visible('#save');
      await view.page.waitForFunction(() => document.activeElement.id === 'result-title');
      assert.match(await view.text('#status'), /ready/);
      await tabTo(view, 'symbols-more');
      await view.page.keyboard.press('Enter');
      await tabTo(view, 'symbols-get');
      await view.now();
      await view.page.keyboard.press('Enter');
      await view.settled();
      assert.equal((await view.summary()).symbols.status, 'found');
      assert.match(await view.text('#status'), /ready/);
      const saved = await view.save(undefined, async () => {
        await view.page.keyboard.down('Control');
        await view.page.keyboard.press('s');
        await view.page.keyboard.up('Control');
      });
      assert.equal(await sha256(saved), await byCommandLine(demo().core, '-symbols', demo().pdb));
      await view.page.close();
    });
  });

  describe(`what the page says in ${kind}`, () => {
    let server, driver;
    before(async () => { driver = await launch(kind); });
    after(() => driver?.close());
    // An origin for each, so that the browser keeps no PDB of the test before.
    beforeEach(async () => { server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']); });
    afterEach(() => server.stop());

    // withoutBlock gives the demo core with its debugger block wiped out: it lies
    // where the converted dump differs from the core, in pages that are patched.
    function withoutBlock() {
      const core = readFileSync(demo().core), file = join(work, 'noblock.elf'), dump = join(work, 'noblock.dmp');
      const { memory } = JSON.parse(execFileSync(binary, ['info', '-json', demo().core], { encoding: 'utf8' }));
      execFileSync(binary, ['convert', '-type', 'full', '-symbols', 'none', demo().core, dump]);
      const tag = readFileSync(dump).indexOf(Buffer.from('KDBG\x80\x03\0\0', 'latin1'), 0x2000), [run] = memory.runs;
      assert.ok(tag > 0, 'the dump has the block in clear');
      const at = run.file_offset + tag - 0x10 - 0x2000;
      core.fill(0, at, at + 0x380);
      writeFileSync(file, core);
      return file;
    }

    test('a core that cannot be converted: the reason, and nothing to save', async () => {
      const view = await driver.visit(server.url);
      await view.pick(withoutBlock(), demo().pdb);
      await view.settled();
      assert.match(await view.text('#verdict'), /^It cannot be converted yet: /);
      assert.doesNotMatch(await view.text('#verdict'), /PDB is needed/);
      for (const id of ['#save', '#prepare']) assert.ok(await view.hidden(id), id);
      await view.page.close();
    });

    test('elf2dmp’s way needs the PDB: nothing to save until it is there; another core begins with no option set', async () => {
      const view = await driver.visit(server.url), { core, pdb } = demo();
      await view.pick(core);
      await view.settled();
      await view.converted();
      await view.click('#compat');
      await view.visible('#to-symbols');
      assert.match(await view.text('#verdict'), /needs the kernel’s PDB/);
      assert.match(await view.text('#symbols-text'), /is needed/);
      assert.ok(await view.hidden('#save'));
      await view.drop(pdb);
      await view.settled();
      await view.converted();
      assert.equal((await view.summary()).symbols.status, 'found');
      await view.pick(core);
      await view.settled();
      assert.equal(await view.page.$eval('#compat', (e) => e.checked), false);
      await view.page.close();
    });

    test('where there are no symbols: no offer to ask for them, but their address; no demo guest either', async () => {
      const view = await driver.visit(`${server.url}#demo`);
      assert.equal(await view.isVisible('#promise'), true);
      assert.match(await view.text('[data-notice=start]'), /has no demo guest/);
      await view.pick(demo().core);
      await view.settled();
      await view.click('#symbols-more');
      assert.ok(await view.hidden('#symbols-get'));
      assert.match(await view.text('#symbols-from'), /^https:\/\/msdl\.microsoft\.com\/download\/symbols\/ntkrnlmp\.pdb\/BB8FBA4DBDC8EAF74C4C44205044422E1\/ntkrnlmp\.pdb/);
      assert.deepEqual(view.foreign(), []);
      await view.page.close();
    });

    test('a core with what is no PDB: inspected all the same, and the PDB refused', async () => {
      const view = await driver.visit(server.url), html = join(work, 'login.pdb');
      writeFileSync(html, '<!doctype html>'.padEnd(4096));
      await view.pick(demo().core, html);
      await view.settled();
      assert.match(await view.text('[data-notice=aside]'), /^Left aside: login\.pdb \(this is no PDB/);
      await view.converted();
      await view.page.close();
    });

    test('a PDB given for one core is not held against the next', async () => {
      const view = await driver.visit(server.url), other = join(work, 'another.pdb'), bytes = readFileSync(demo().pdb), guid = Buffer.from('4dba8fbb', 'hex');
      for (let at = bytes.indexOf(guid); at >= 0; at = bytes.indexOf(guid, at + 1)) bytes[at] ^= 0xff;
      writeFileSync(other, bytes);
      await view.pick(demo().core, other);
      await view.settled();
      await view.failed('symbols-mismatch');
      await view.click('#close');
      await view.pick(demo().core);
      await view.settled();
      assert.ok(await view.hidden('.fault'));
      assert.ok(await view.hidden('#panel-warnings'));
      assert.doesNotMatch(await view.json(), /belongs to another build/);
      await view.page.close();
    });

    test('a paste by accident costs nothing; what follows the dump is seen and keeps the focus', async () => {
      const view = await driver.visit(server.url);
      await view.page.setViewport({ width: 1000, height: 500 });
      await view.pick(demo().core);
      await view.settled();
      await view.converted();
      assert.ok(await view.hidden('#save-note'), 'nothing is being saved yet');
      await view.now();
      await view.page.evaluate(() => {
        const clipboardData = new DataTransfer(), text = '.symfix C:\\symbols';
        clipboardData.setData('text/plain', text);
        // Firefox has two members of its own for what the others call clipboardData.
        document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, dataType: 'text/plain', data: text, bubbles: true, cancelable: true }));
      });
      await view.settled();
      assert.match(await view.text('[data-notice=bar]'), /no kernel log/);
      await view.converted();
      await view.press('#recheck');
      assert.equal(await view.page.evaluate(() => document.activeElement.id), 'recheck');
      const place = await view.page.$eval('[data-notice=dump]', (e) => ({ top: e.getBoundingClientRect().top, height: e.clientHeight, room: innerHeight, text: e.textContent }));
      assert.match(place.text, /as it was/);
      assert.ok(place.top >= 0 && place.top < place.room && place.height > 10, JSON.stringify(place));
      await view.save();
      assert.equal(await view.isVisible('#save-note'), true);
      await view.page.close();
    });

    test('a folder is called one', { skip: kind === 'chromium' ? false : 'only Chromium’s driver drops from the disk' }, async () => {
      const view = await driver.visit(server.url);
      await view.drop(work);
      assert.match(await view.failed(), /: this is a folder/);
      await view.page.close();
    });
  });
}
