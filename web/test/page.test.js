// The page as people use it: by keyboard alone, with a screen reader's rules,
// one thing at a time.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byCommandLine, demo, root, sha256, work } from './lib/files.js';
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
}
