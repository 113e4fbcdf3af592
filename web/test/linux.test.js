// A Linux core without KCSAN in the page: log, panic, stacks.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { root, work } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

const core = join(work, 'plain.core');
writeFileSync(core, gunzipSync(readFileSync(join(root, 'core/linux/linuxtest/testdata/plain.core.gz'))));

for (const kind of kinds) {
  describe(`a Linux core without KCSAN in ${kind}`, () => {
    let server, driver;
    before(async () => {
      server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });

    test('release, panic, stacks, tasks, modules and log', async () => {
      const view = await driver.visit(server.url);
      await view.pick(core);
      await view.settled();
      assert.equal(await view.failure(), '', await view.text('#log'));
      const facts = await view.page.$$eval('#facts dt', (all) => Object.fromEntries(all.map((dt) => [dt.textContent, dt.nextElementSibling.textContent])));
      assert.match(facts.Guest, /^Linux 6\.8\.0-plain/);
      assert.equal(facts.Panic, 'Fatal exception');
      const table = (title) => view.page.$$eval('#linux-tables details', (all, title) => {
        const box = all.find((d) => d.querySelector('summary').textContent.startsWith(`${title} (`));
        return box && [...box.querySelectorAll('tbody tr')].map((tr) => [...tr.cells].map((cell) => cell.textContent));
      }, title);
      assert.deepEqual((await table('What went wrong')).map((row) => row[1]), ['oops', 'panic']);
      assert.deepEqual(await table('CPUs'), [['0', 'bash (3)', 'default_idle+0x8/0x50'],
        ['1', 'sleep (4)', 'panic+0x20/0x50\nsysrq_handle_crash+0x10/0x50\nvirtio_net_work+0x20/0xf00 [virtio_net]']]);
      assert.equal((await table('Tasks')).length, 4);
      assert.equal((await table('Modules')).length, 1);
      await view.click('#dmesg-show');
      await view.page.waitForSelector('#dmesg');
      assert.match(await view.text('#dmesg'), /\[ {4}7\.250000\] Kernel panic - not syncing: Fatal exception$/);
      assert.deepEqual(view.foreign(), []);
      assert.deepEqual(view.errors, []);
    });

    test('debugging information of another build is named and not used', async () => {
      const view = await driver.visit(server.url);
      await view.pick(core);
      await view.settled();
      await view.pick(join(root, 'core/srcline/testdata/gcc5.o'));
      await view.settled();
      assert.match(await view.text('#panel-warnings'), /The file gcc5\.o has no build ID/);
      const { linux } = await view.summary();
      assert.deepEqual(linux.debug, []);
      assert.equal(linux.panic, 'Fatal exception', 'what was known stays');
    });
  });
}
