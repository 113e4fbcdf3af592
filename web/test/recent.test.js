// Files that were opened before, by their handles: Chromium has such, Firefox none.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { demo } from './lib/files.js';
import { staticHost } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

// place puts a file that an input of the test's has picked where the page has a real
// handle of it, and gives the page that handle by the picker and by a drop.
async function place(view, file) {
  await view.page.evaluate(() => {
    const input = Object.assign(document.createElement('input'), { type: 'file', id: 'test-place' });
    input.addEventListener('change', (event) => event.stopPropagation());
    document.body.append(input);
  });
  await (await view.page.$('#test-place')).uploadFile(file);
  await view.page.evaluate(async () => {
    const input = document.getElementById('test-place'), [file] = input.files, { name } = file;
    const handle = await (await navigator.storage.getDirectory()).getFileHandle(name, { create: true }), to = await handle.createWritable();
    await to.write(file);
    await to.close();
    globalThis.testHandle = handle;
    globalThis.showOpenFilePicker = async () => [handle];
    input.remove();
  });
}

const names = (view) => view.page.$$eval('#recent li bdi', (l) => l.map((e) => e.textContent));
const stored = (view) => view.page.evaluate(async () => (await indexedDB.databases()).map((d) => d.name).filter((n) => n === 'coredrop-recent'));

for (const kind of kinds) {
  describe(`opened before, in ${kind}`, () => {
    let host, driver;
    before(async () => {
      host = await staticHost();
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      host?.stop();
    });

    test('a dropped file is in the list on the next visit, without its data', { skip: kind === 'chromium' ? false : 'only Chromium has handles' }, async () => {
      const view = await driver.visit(host.url);
      assert.equal(await view.page.$('#recent'), null);
      await view.drop(demo().core); // from the disk
      await view.settled();
      await view.page.waitForFunction(async () => (await indexedDB.databases()).some((d) => d.name === 'coredrop-recent'));
      await view.click('#close');
      await view.visible('#recent');
      await view.page.reload();
      await view.ready();
      await view.visible('#recent');
      assert.deepEqual(await names(view), ['demo.elf']);
      const kept = await view.page.evaluate(() => new Promise((resolve) => {
        const opening = indexedDB.open('coredrop-recent');
        opening.onsuccess = () => { opening.result.transaction('files').objectStore('files').getAll().onsuccess = (e) => { resolve(e.target.result.map((r) => Object.keys(r).sort().join())); opening.result.close(); }; };
      }));
      assert.deepEqual(kept, ['handle,id,name,size']);
      await view.click('#recent-clear');
      await view.page.waitForFunction(() => !document.querySelector('#recent'));
      await view.page.reload();
      await view.ready();
      assert.equal(await view.page.$('#recent'), null);
      await view.page.close();
    });

    test('a picked file is opened again with one click; twice it stands there once; one that is gone is off the list', { skip: kind === 'chromium' ? false : 'only Chromium has handles' }, async () => {
      const view = await driver.visit(host.url);
      await place(view, demo().core);
      for (let i = 0; i < 2; i++) {
        await view.press('#file');
        await view.converted();
        await view.click('#close');
        await view.page.waitForFunction(() => document.querySelectorAll('#recent li').length === 1);
      }
      await view.page.reload();
      await view.ready();
      await view.visible('#recent');
      await view.press('[data-recent=open]');
      await view.converted();
      assert.equal(await view.text('#opened-name'), 'Windows guest: demo.elf');
      await view.click('#close');
      await view.visible('#recent');
      await view.page.evaluate(async () => (await navigator.storage.getDirectory()).removeEntry('demo.elf'));
      await view.click('[data-recent=open]');
      await view.page.waitForFunction(() => /^demo\.elf is not where it was/.test(document.querySelector('[data-notice=start]')?.textContent));
      await view.page.waitForFunction(() => !document.querySelector('#recent'));
      assert.deepEqual(view.errors, []);
      await view.page.close();
    });

    test('where there are no handles nothing is stored, and nothing said of it', { skip: kind === 'firefox' ? false : 'Chromium has handles' }, async () => {
      const view = await driver.visit(host.url);
      await view.drop(demo().core);
      await view.settled();
      await view.click('#close');
      await view.page.reload();
      await view.ready();
      assert.equal(await view.page.$('#recent'), null);
      assert.deepEqual(await stored(view), []);
      await view.page.close();
    });
  });
}
