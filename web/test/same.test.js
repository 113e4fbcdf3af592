// The page and the command line say the same: the same bytes of JSON of the same
// file, and of a core that ends early its end first.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, demo, hasCorpus, root, unpack, work } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

// cli gives what the command line prints, also where it fails.
function cli(...args) {
  try {
    return execFileSync(binary, args, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    return error.stdout;
  }
}

for (const kind of kinds) {
  describe(`the page says what the command line says, in ${kind}`, () => {
    let server, driver;
    before(async () => {
      server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });

    async function json(file) {
      const view = await driver.visit(server.url);
      await view.pick(file);
      await view.settled();
      await view.json();
      const text = await view.page.$eval('#json', (e) => e.textContent);
      await view.page.close();
      return text;
    }

    test('a Windows core', async () => {
      const { core } = demo();
      assert.equal(await json(core), cli('info', '-json', core));
    });

    test('a Linux core', { skip: hasCorpus ? false : 'the corpus is not here' }, async () => {
      const core = unpack('kcsan/a-live');
      assert.equal(await json(core), cli('kcsan', '-json', core));
    });

    test('a log', async () => {
      const file = join(work, 'same.log');
      writeFileSync(file, 'Linux version 6.1.0\n' + readFileSync(join(root, 'core/kcsan/testdata/golden/symbolized.txt'), 'utf8'));
      const text = await json(file);
      assert.equal(text, cli('kcsan', '-json', file));
      assert.ok(JSON.parse(text).reports[0].accesses.length === 2);
    });

    test('a core that ends early: that is what is said first, and what is known of it stays', async () => {
      const file = join(work, 'cut.elf'), whole = readFileSync(demo().core), view = await driver.visit(server.url);
      writeFileSync(file, whole.subarray(0, 1 << 20));
      await view.pick(file);
      await view.settled();
      assert.equal(await view.failure(), 'truncated');
      assert.match(await view.text('.fault h2'), /^cut\.elf: the file ends /);
      assert.match(await view.text('#warning-list li summary'), /^The file ends .*truncated$/);
      const facts = await view.text('#facts');
      for (const known of ['ELF core', 'x86-64', 'CPUs', 'Memory']) assert.ok(facts.includes(known), `${known} in ${facts}`);
      await view.json();
      assert.equal(await view.page.$eval('#json', (e) => e.textContent), cli('info', '-json', file));
      await view.page.close();
    });
  });
}
