// Where the page works from: below a path, over plain http under another name,
// from a host that knows nothing of it, and without any network.
import { after, afterEach, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { byCommandLine, demo, root, sha256 } from './lib/files.js';
import { coredrop, dist, staticHost } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

const expected = {
  'content-security-policy': /default-src 'none'.*script-src 'self' 'sha256-[A-Za-z0-9+/=]{44}' 'wasm-unsafe-eval'.*connect-src 'self'; style-src 'self' 'sha256-[A-Za-z0-9+/=]{44}'; .*frame-ancestors 'none'/,
  'x-content-type-options': /^nosniff$/,
  'referrer-policy': /^no-referrer$/,
  'cross-origin-resource-policy': /^same-origin$/,
  'cross-origin-opener-policy': /^same-origin$/,
  'permissions-policy': /camera=\(\)/,
};

for (const kind of kinds) {
  describe(`hosting in ${kind}`, () => {
    let driver;
    before(async () => { driver = await launch(kind, { map: 'intranet.test' }); });
    after(() => driver?.close());
    const hosts = [];
    const hosted = async (...args) => {
      const host = await staticHost(...args);
      hosts.push(host);
      return host;
    };
    afterEach(async () => {
      for (const host of hosts.splice(0)) host.stop();
      for (const page of (await driver.browser.pages()).slice(1)) await page.close();
    });

    test('plain http, another name, below a path; every answer has the security headers', async () => {
      const server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-base', '/sub/', '-upstream', 'none']);
      try {
        const url = server.url.replace('127.0.0.1', 'intranet.test');
        const page = await driver.browser.newPage();
        const bare = [];
        page.on('response', (response) => {
          if (!response.url().startsWith('http')) return;
          const headers = response.headers();
          for (const [name, pattern] of Object.entries(expected)) if (!pattern.test(headers[name] || '')) bare.push(`${response.url()} ${name}: ${headers[name]}`);
        });
        await page.goto(url);
        await page.waitForSelector('html[data-phase=empty]');
        await page.close();
        assert.deepEqual(bare, []);

        const view = await driver.visit(url);
        assert.equal(await view.page.evaluate(() => isSecureContext), false);
        await view.visible('#insecure');
        const { core, pdb } = demo();
        await view.pick(core, pdb);
        await view.settled();
        assert.equal((await view.summary()).symbols.status, 'found');
        await view.converted();
        assert.ok(await view.hidden('#save-picker'));
        assert.equal(await sha256(await view.save()), await byCommandLine(core, '-symbols', pdb));
        await view.click('#hash');
        await view.visible('#hash-value');
        assert.equal(await view.text('#hash-value'), `SHA-256 ${await byCommandLine(core, '-symbols', pdb)}`);
        // Without a clipboard object the text is selected, and copied if the browser lets it.
        await view.click('#command button');
        await view.page.waitForFunction(() => /copied|Ctrl\+C/.test(document.getElementById('status').textContent));
        assert.deepEqual(view.foreign(), []);
        assert.deepEqual(view.errors, []);
        await view.page.close();
      } finally {
        await server.stop();
      }
    });

    test('any static host: a dropped PDB; asked for symbols it says what to do', async () => {
      const host = await hosted('/tools/dump/');
      const view = await driver.visit(host.url);
      assert.ok(await view.hidden('#promise'), 'nobody knows what this server does');
      const { core, pdb } = demo();
      await view.pick(core);
      await view.settled();
      await view.click('#symbols-more');
      assert.equal(await view.text('#symbols-url'), `${host.url}symbols/ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1/ntkrnlmp.pdb`);
      await view.press('#symbols-get');
      assert.equal(await view.failure(), 'symbols-not-found');
      assert.match(await view.text('.fault .steps'), /drop it/);
      await view.drop(pdb);
      await view.settled();
      assert.equal((await view.summary()).symbols.status, 'found');
      await view.converted();
      assert.equal(await sha256(await view.save()), await byCommandLine(core, '-symbols', pdb));
      assert.deepEqual(view.foreign(), []);
    });

    test('the page kept for the time without its server, and never instead of a newer one', async () => {
      const replace = {}, host = await hosted('/tools/dump/', replace);
      const view = await driver.visit(host.url), { core, pdb } = demo();
      const kept = () => view.page.waitForFunction(async () => {
        const [name] = await caches.keys();
        return navigator.serviceWorker.controller && name && await (await caches.open(name)).match('index.html');
      });
      await kept();
      // What only Linux needs is kept once it was used.
      await view.press('#sample-races');
      await view.page.waitForFunction(async () => caches.match(new URL(`app/${globalThis.coredropBoot.build.hash}/coredrop-whole.wasm`, document.baseURI)));
      replace['index.html'] = readFileSync(join(dist, 'index.html'), 'utf8').replace('<h1>Coredrop</h1>', '<h1>Coredrop, newer</h1>');
      await view.page.reload();
      await view.ready();
      assert.equal(await view.text('h1'), 'Coredrop, newer');
      host.stop();
      await view.page.reload();
      await view.ready();
      assert.equal(await view.text('h1'), 'Coredrop');
      await view.pick(core, pdb);
      await view.settled();
      await view.converted();
      assert.equal(await sha256(await view.save()), await byCommandLine(core, '-symbols', pdb));
      await view.click('#close');
      await view.press('#sample-crash');
      await view.converted();
      await view.click('#close');
      await view.press('#sample-races');
      assert.equal(await view.page.$$eval('#races-list > li', (l) => l.length), 46, 'the samples are kept too');
      assert.deepEqual(view.errors, []);
    });

    test('both samples without their server, though nothing was opened before: a first visit pays for one, who comes back gets the rest', async () => {
      const host = await hosted(), view = await driver.visit(host.url);
      const has = (name) => view.page.waitForFunction(async (name) => caches.match(new URL(name === 'index.html' ? name : `app/${globalThis.coredropBoot.build.hash}/${name}`, document.baseURI)), {}, name);
      await has('index.html');
      const first = host.requests.map((path) => path.replace(/^\/app\/[0-9a-f]+\//, ''));
      for (const name of ['coredrop-whole.wasm', 'samples/races.log', 'web/style.css', '/errors.html']) assert.ok(!first.includes(name), name);
      assert.ok(first.includes('samples/crash.elf.packed'));
      await view.page.waitForFunction(() => navigator.serviceWorker.controller);
      await view.page.reload();
      await view.ready();
      for (const name of ['coredrop-whole.wasm', 'samples/races.log', 'web/style.css']) await has(name);
      host.stop();
      await view.page.reload();
      await view.ready();
      await view.press('#sample-races');
      assert.equal(await view.page.$$eval('#races-list > li', (l) => l.length), 46);
      await view.click('#close');
      await view.press('#sample-crash');
      await view.converted();
      assert.deepEqual(view.errors, []);
    });

    test('the demo without a network', (t) => {
      const child = (command, args) => spawnSync(command, args, { cwd: root, encoding: 'utf8', timeout: 120000 });
      if (child('unshare', ['-n', 'true']).status !== 0) return t.skip('this user may not make a network namespace');
      const run = child('unshare', ['-n', 'sh', '-c', `ip link set lo up 2>/dev/null || ifconfig lo up; exec ${process.execPath} ${join(root, 'web/test/offline.js')} ${kind}`]);
      assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
      assert.match(run.stdout, /the dump is right/);
    });
  });
}
