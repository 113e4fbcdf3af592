// Once it is loaded the page needs nobody: with its server gone and no PDB in
// the browser's cache it converts a kernel whose debugger block is encoded.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byCommandLine, demo, hasCorpus, sha256, unpack, work } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

for (const kind of kinds) {
  describe(`without a server in ${kind}`, () => {
    test('an encoded kernel is converted with no symbols', async () => {
      const server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      const driver = await launch(kind); // a profile of its own: nothing is cached
      try {
        const view = await driver.visit(server.url);
        const text = join(work, 'alone.txt'); // the program has answered: all of it is loaded
        writeFileSync(text, 'not a core');
        await view.pick(text);
        await view.failed('unknown-format');
        await server.stop();

        for (const core of hasCorpus ? [demo().core, unpack('02-cpu4-encoded')] : [demo().core]) {
          await view.pick(core);
          await view.settled();
          await view.converted();
          assert.match(await view.text('#symbols-text'), /The PDB is not needed here/);
          assert.match(await view.text('#facts'), /encoded, found by values that it must hold/);
          assert.equal((await view.summary()).symbols.status, 'none-needed');
          assert.equal(await sha256(await view.save()), await byCommandLine(core, '-symbols', 'none'));
        }
        assert.deepEqual(view.symbolRequests(), []);
        await view.page.close();
      } finally {
        await driver.close();
      }
    });
  });
}
