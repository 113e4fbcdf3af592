// The race reports of Linux cores in the page: the same as the command line's.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { binary, hasCorpus, unpack } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

for (const kind of kinds) {
  describe(`race reports in ${kind}`, { skip: hasCorpus ? false : 'the corpus is not here' }, () => {
    let server, driver;
    before(async () => {
      server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });

    for (const name of ['a-inflight-signal', 'a-live']) {
      test(name, async () => {
        const core = unpack(`kcsan/${name}`), view = await driver.visit(server.url);
        await view.pick(core);
        await view.settled();
        assert.equal(await view.isVisible('#failure'), false, await view.text('#failure-text'));
        const shown = JSON.parse(await view.text('#json'));
        const cli = JSON.parse(execFileSync(binary, ['kcsan', '-json', core], { encoding: 'utf8', maxBuffer: 1 << 28 }));
        assert.ok(shown.reports.length > 0);
        assert.deepEqual(shown, cli);
        assert.equal(await view.isVisible('#convert'), false);
        assert.match(await view.text('#command'), /^coredrop kcsan /);

        const titles = [...new Set(cli.reports.map((r) => r.title))];
        assert.equal(await view.page.$$eval('#races-list > details', (l) => l.length), titles.length, 'grouped by title');
        assert.deepEqual(await view.page.$$eval('#races-list pre', (l) => l.map((e) => e.textContent).sort()), cli.reports.map((r) => r.text).sort());
        await view.page.type('#races-filter', titles[0]);
        const wanted = titles.filter((t) => t.toLowerCase().includes(titles[0].toLowerCase())).length;
        assert.equal(await view.page.$$eval('#races-list > details', (l) => l.length), wanted, 'filtered');
        await view.click('#races-copy');
        await view.page.waitForFunction(() => /copied|Ctrl\+C/.test(document.getElementById('status').textContent));
        assert.deepEqual(view.foreign(), []);
        assert.deepEqual(view.errors, []);
        await view.page.close();
      });
    }
  });
}
