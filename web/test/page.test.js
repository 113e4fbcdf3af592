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
        await view.visible('#failure');
        assert.deepEqual(await violations(view), [], 'failure');
        await view.pick(demo().core);
        await view.visible('#result');
        assert.deepEqual(await violations(view), [], 'inspected');
        await view.convert();
        await view.page.$$eval('details', (all) => all.forEach((d) => { d.open = true; }));
        assert.deepEqual(await violations(view), [], 'converted');
        await view.page.evaluate(() => { document.getElementById('work').hidden = false; document.getElementById('overlay').hidden = false; });
        assert.deepEqual(await violations(view), [], 'working');
        await view.page.setViewport({ width: 320, height: 640 });
        const wide = await view.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= 320, `320 pixels are enough: ${wide}`);
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
      await view.page.keyboard.press('Enter');
      await view.visible('#result');
      await view.page.waitForFunction(() => document.activeElement.id === 'result-title');
      await tabTo(view, 'symbols-get');
      await view.page.keyboard.press('Enter');
      await view.page.waitForFunction(() => document.getElementById('work').hidden && JSON.parse(document.getElementById('json').textContent).symbols.status === 'found');
      await tabTo(view, 'convert');
      await view.page.keyboard.press('Enter');
      await view.visible('#dump');
      await view.page.waitForFunction(() => document.activeElement.id === 'dump-title');
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

    const disabled = (view, selector) => view.page.$eval(selector, (e) => e.disabled);
    const symbolsFound = (view) => view.page.waitForFunction(() => document.getElementById('work').hidden && JSON.parse(document.getElementById('json').textContent || '{}').symbols?.status === 'found');

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

    test('a core that cannot be converted: the reason, and no Convert', async () => {
      const view = await driver.visit(server.url);
      await view.pick(withoutBlock(), demo().pdb);
      await view.settled();
      assert.match(await view.text('#verdict'), /^It cannot be converted yet: /);
      assert.doesNotMatch(await view.text('#verdict'), /PDB is needed/);
      assert.equal(await disabled(view, '#convert'), true);
      await view.page.close();
    });

    test('elf2dmp’s way needs the PDB: no Convert until it is there; another core begins with no option set', async () => {
      const view = await driver.visit(server.url), { core, pdb } = demo();
      await view.pick(core);
      await view.settled();
      assert.equal(await disabled(view, '#convert'), false);
      await view.page.$$eval('details', (all) => all.forEach((d) => { d.open = true; }));
      await view.click('#compat');
      assert.match(await view.text('#verdict'), /needs the kernel’s PDB/);
      assert.match(await view.text('#symbols-text'), /is needed/);
      assert.equal(await disabled(view, '#convert'), true);
      await view.drop(pdb);
      await symbolsFound(view);
      assert.equal(await disabled(view, '#convert'), false);
      await view.click('#another');
      assert.equal(await view.page.$eval('#compat', (e) => e.checked), false);
      await view.page.close();
    });

    test('where there are no symbols: no offer to ask for them, but their address; no demo guest either', async () => {
      const view = await driver.visit(`${server.url}#demo`);
      assert.equal(await view.isVisible('#promise'), true);
      assert.match(await view.text('#status'), /has no demo guest/);
      await view.pick(demo().core);
      await view.settled();
      assert.equal(await view.isVisible('#symbols-get'), false);
      assert.match(await view.text('#symbols-from'), /^https:\/\/msdl\.microsoft\.com\/download\/symbols\/ntkrnlmp\.pdb\/BB8FBA4DBDC8EAF74C4C44205044422E1\/ntkrnlmp\.pdb/);
      assert.deepEqual(view.foreign(), []);
      await view.page.close();
    });

    test('a core with what is no PDB: inspected all the same, and the PDB refused', async () => {
      const view = await driver.visit(server.url), html = join(work, 'login.pdb');
      writeFileSync(html, '<!doctype html>'.padEnd(4096));
      await view.pick(demo().core, html);
      await view.settled();
      assert.equal(await view.failure(), 'symbols-not-a-pdb');
      assert.match(await view.text('#failure-text'), /login\.pdb is not used/);
      assert.equal(await view.isVisible('#result'), true);
      await view.convert().catch(() => {}); // the refusal is still shown
      assert.equal(await view.isVisible('#dump'), true);
      await view.page.close();
    });

    test('a PDB given for one core is not held against the next', async () => {
      const view = await driver.visit(server.url), other = join(work, 'another.pdb'), bytes = readFileSync(demo().pdb), guid = Buffer.from('4dba8fbb', 'hex');
      for (let at = bytes.indexOf(guid); at >= 0; at = bytes.indexOf(guid, at + 1)) bytes[at] ^= 0xff;
      writeFileSync(other, bytes);
      await view.pick(demo().core, other);
      await view.settled();
      assert.match(await view.text('#warnings'), /symbols-mismatch/);
      await view.click('#another');
      await view.pick(demo().core);
      await view.settled();
      assert.equal(await view.isVisible('#warnings'), false);
      assert.doesNotMatch(await view.text('#json'), /belongs to another build/);
      await view.page.close();
    });

    test('a paste by accident costs nothing; what follows the dump is seen and keeps the focus', async () => {
      const view = await driver.visit(server.url);
      await view.page.setViewport({ width: 1000, height: 500 });
      await view.pick(demo().core);
      await view.settled();
      await view.convert();
      assert.equal(await view.isVisible('#save-note'), false, 'nothing is being saved yet');
      await view.page.evaluate(() => {
        const clipboardData = new DataTransfer(), text = '.symfix C:\\symbols';
        clipboardData.setData('text/plain', text);
        // Firefox has two members of its own for what the others call clipboardData.
        document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, dataType: 'text/plain', data: text, bubbles: true, cancelable: true }));
      });
      await view.page.waitForFunction(() => /no kernel log/.test(document.getElementById('status').textContent));
      assert.equal(await view.isVisible('#dump'), true);
      await view.click('#recheck');
      await view.page.waitForFunction(() => /as it was/.test(document.getElementById('status').textContent) && document.getElementById('work').hidden);
      assert.equal(await view.page.evaluate(() => document.activeElement.id), 'recheck');
      const place = await view.page.$eval('#status', (e) => ({ top: e.getBoundingClientRect().top, height: e.clientHeight, scrolled: scrollY }));
      assert.ok(place.scrolled > 0 && place.top >= 0 && place.top < 200 && place.height > 10, JSON.stringify(place));
      await view.save();
      assert.equal(await view.isVisible('#save-note'), true);
      await view.page.close();
    });

    test('a folder is called one', { skip: kind === 'chromium' ? false : 'only Chromium’s driver drops from the disk' }, async () => {
      const view = await driver.visit(server.url);
      await view.drop(work);
      await view.visible('#failure');
      assert.match(await view.text('#failure-text'), /is a folder/);
      await view.page.close();
    });
  });
}
