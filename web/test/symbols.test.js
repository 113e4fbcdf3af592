// The kernel's PDB: asked for on consent only, verified, kept in the browser.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byCommandLine, demo, sha256, work } from './lib/files.js';
import { coredrop, emptyCache, staticHost, upstream } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

const key = 'ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1/ntkrnlmp.pdb';

// anotherBuild is the same PDB with another GUID.
function anotherBuild() {
  const bytes = Buffer.from(readFileSync(demo().pdb));
  const guid = Buffer.from('4dba8fbb', 'hex');
  let found = 0;
  for (let at = bytes.indexOf(guid); at >= 0; at = bytes.indexOf(guid, at + 1), found++) bytes[at] ^= 0xff;
  assert.ok(found > 0, 'the PDB holds its GUID');
  return bytes;
}

// files lists all files below a folder.
function files(dir) {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile() && e.name !== '.coredrop-cache').map((e) => e.name); // but for the mark that the directory is the cache's own
}

for (const kind of kinds) {
  describe(`symbols in ${kind}`, () => {
    let driver, source;
    before(async () => {
      driver = await launch(kind);
      source = await upstream(demo().pdb, anotherBuild());
    });
    after(async () => {
      await driver?.close();
      source?.stop();
    });

    const serve = (cache) => coredrop(['serve', '-addr', '127.0.0.1:0', '-cache', cache, '-upstream', source.url, '-redirect-host', 'localhost'], { SSL_CERT_FILE: source.cert });

    for (const [mode, code] of [['html', 'symbols-not-a-pdb'], ['other', 'symbols-mismatch'], ['cut', 'symbols-offline'], ['nothing', 'symbols-not-found']]) {
      test(`an upstream that gives ${mode}: ${code}, and nothing is kept`, async () => {
        source.state.mode = mode;
        const cache = emptyCache(mode), server = await serve(cache);
        try {
          const view = await driver.visit(server.url);
          await view.pick(demo().core);
          await view.settled();
          await view.click('#symbols-more');
          await view.press('#symbols-get');
          assert.equal(await view.failure(), code);
          assert.ok(await view.isVisible('#panel-symbols .fault'), 'it is said where it was asked for');
          assert.ok(await view.page.$$eval('.fault .steps li', (l) => l.length) > 0, 'a next step');
          await view.converted();
          assert.deepEqual(files(cache), []);
          assert.ok(await view.isVisible('#symbols-get'), 'it can be asked again');
          assert.deepEqual(view.foreign(), []);
          await view.page.close();
        } finally {
          await server.stop();
        }
      });
    }

    test('end to end: consent, a redirect followed by the server, and the second time no request', async () => {
      source.state.mode = 'pdb';
      source.state.requests = 0;
      const cache = emptyCache('good'), server = await serve(cache);
      try {
        const view = await driver.visit(server.url);
        await view.pick(demo().core);
        await view.settled();
        await view.click('#symbols-more');
        assert.equal(await view.text('#symbols-url'), `${server.url}symbols/${key}`);
        assert.deepEqual(view.symbolRequests(), [], 'nothing is asked before consent');
        assert.equal(source.state.requests, 0);
        await view.press('#symbols-get');
        assert.equal((await view.summary()).symbols.status, 'found');
        assert.deepEqual(view.symbolRequests(), [`${server.url}symbols/${key}`]);
        assert.equal(source.state.requests, 1);
        assert.deepEqual(files(cache), ['ntkrnlmp.pdb']);
        await view.converted();
        assert.equal(await sha256(await view.save()), await byCommandLine(demo().core, '-symbols', demo().pdb));
        assert.doesNotMatch(await view.text('#windbg'), /127\.0\.0\.1/, 'a debugger elsewhere does not reach this name');
        assert.deepEqual(view.foreign(), []);

        await view.page.reload();
        await view.ready();
        await view.visible('#cached'); // asked for when the program is there
        assert.match(await view.text('#cached'), /PDBs kept in this browser: 1, .*ntkrnlmp\.pdb BB8FBA4DBDC8EAF74C4C44205044422E1/s);
        view.requests.length = 0;
        await view.pick(demo().core);
        await view.settled();
        const summary = await view.summary();
        assert.equal(summary.symbols.status, 'found');
        assert.equal(summary.symbols.from.kind, 'cache');
        await view.converted();
        assert.equal(await sha256(await view.save()), await byCommandLine(demo().core, '-symbols', demo().pdb));
        assert.deepEqual(view.symbolRequests(), [], 'the browser has it');
        assert.equal(source.state.requests, 1);
        assert.ok(!server.errors().includes('signature'), 'no query is logged');

        await view.click('#close');
        await view.visible('#cached');
        await view.page.$eval('#cached', (e) => { e.open = true; });
        await view.press('#forget-BB8FBA4DBDC8EAF74C4C44205044422E1');
        assert.ok(await view.hidden('#cached'));
        await view.pick(demo().core);
        await view.settled();
        assert.equal((await view.summary()).symbols.status, 'none-needed', 'what was deleted is not used');
        await view.page.close();
      } finally {
        await server.stop();
      }
    });

    test('a fetch that does not end is cancelled at once, and nothing is kept', async () => {
      source.state.mode = 'stall';
      const cache = emptyCache('stall'), server = await serve(cache);
      try {
        const view = await driver.visit(server.url);
        await view.pick(demo().core);
        await view.settled();
        await view.click('#symbols-more');
        await view.click('#symbols-get');
        await view.visible('#work');
        await view.page.keyboard.press('Escape');
        await view.settled();
        assert.match(await view.text('[data-notice=symbols]'), /^Cancelled; this server may have been asked for the PDB, nothing else was sent\./);
        assert.equal(await view.failure(), '', 'a cancel is no failure');
        // The server still fetches, for whoever asks next.
        assert.deepEqual(files(cache).filter((name) => !name.startsWith('.')), []);
        await view.converted();
        await view.page.close();
      } finally {
        await server.stop();
        source.release();
      }
      assert.deepEqual(files(cache), [], 'nothing unfinished is left behind');
    });

    test('a busy server is asked again, and the wait can be cancelled', async () => {
      let asked = 0;
      const host = await staticHost('/', {
        [`symbols/${key}`]: (response) => {
          response.writeHead(++asked > 2 ? 200 : 503);
          response.end(asked > 2 ? readFileSync(demo().pdb) : '');
        },
      });
      try {
        const view = await driver.visit(host.url), waiting = () => view.page.waitForFunction(() => /busy, seconds/.test(document.getElementById('counts')?.textContent));
        await view.pick(demo().core);
        await view.settled();
        await view.click('#symbols-more');
        await view.click('#symbols-get');
        await waiting();
        await view.page.keyboard.press('Escape');
        await view.settled();
        assert.match(await view.text('[data-notice=symbols]'), /^Cancelled/);
        assert.equal(asked, 1);
        await view.click('#symbols-get');
        await waiting();
        await view.settled();
        assert.equal((await view.summary()).symbols.status, 'found');
        assert.equal(asked, 3);
        await view.page.close();
      } finally {
        host.stop();
      }
    });

    test('the PDB of another build is refused with both identities, what is no PDB by its code', async () => {
      const server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      try {
        const view = await driver.visit(server.url);
        const other = join(work, 'other.pdb'), html = join(work, 'html.pdb');
        writeFileSync(other, anotherBuild());
        writeFileSync(html, '<!doctype html>'.padEnd(4096));
        await view.pick(demo().core, other);
        await view.settled();
        assert.match(await view.failed('symbols-mismatch'), /^other\.pdb: .*belongs to another build: it is [0-9A-F]+, the kernel asks for BB8FBA4DBDC8EAF74C4C44205044422E1/);
        await view.converted();
        const dump = await view.page.$eval('#save', (e) => e.href);
        await view.pickPDB(html);
        assert.match(await view.failed('symbols-not-a-pdb'), /^html\.pdb: this is no PDB/);
        await view.pickPDB(other);
        await view.failed('symbols-mismatch');
        assert.equal(await view.page.$eval('#save', (e) => e.href), dump, 'the dump is as it was');
        await view.pickPDB(demo().pdb);
        await view.settled();
        assert.equal((await view.summary()).symbols.status, 'found');
        assert.equal(await view.failure(), '');
        assert.deepEqual(view.foreign(), []);
        await view.page.close();
      } finally {
        await server.stop();
      }
    });
  });
}
