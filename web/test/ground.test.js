// The ground of the page: one action from a file to the saved dump, nothing that
// is open lost to what cannot be used, a server that is gone, and summaries that
// are larger and odder than any real one.
import { after, afterEach, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byCommandLine, demo, root, sha256, work } from './lib/files.js';
import { coredrop, staticHost } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';
import { draw } from './lib/gallery.js';

const expected = () => byCommandLine(demo().core, '-symbols', 'none');

// refused gives files that cost nothing when they come over a finished dump: the
// code that says why.
function refused() {
  const core = readFileSync(demo().core), files = {
    'other-format': ['holiday.png', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')],
    'symbols-mismatch': ['other.pdb', anotherBuild()],
    'symbols-not-a-pdb': ['login.pdb', Buffer.from('<!doctype html><title>Sign in</title>'.padEnd(4096))],
    truncated: ['cut.elf', core.subarray(0, 300000)],
    'is-dmp': ['memory.dmp', Buffer.concat([Buffer.from('PAGEDU64'), Buffer.alloc(8184)])],
    'empty-file': ['nothing.core', Buffer.alloc(0)],
  };
  return Object.entries(files).map(([code, [name, bytes]]) => {
    const file = join(work, name);
    writeFileSync(file, bytes);
    return [code, file];
  });
}

function anotherBuild() {
  const bytes = readFileSync(demo().pdb), guid = Buffer.from('4dba8fbb', 'hex');
  for (let at = bytes.indexOf(guid); at >= 0; at = bytes.indexOf(guid, at + 1)) bytes[at] ^= 0xff;
  return bytes;
}

for (const kind of kinds) {
  describe(`the ground in ${kind}`, () => {
    let driver, server;
    before(async () => {
      driver = await launch(kind);
      server = await coredrop(['demo', '-addr', '127.0.0.1:0']);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });
    afterEach(async () => {
      for (const page of (await driver.browser.pages()).slice(1)) await page.close();
    });

    for (const [what, width, height] of [['1280×800', 1280, 800], ['1280×800 at 200 % zoom', 640, 400]]) {
      test(`a drop, and Save is in view: ${what}; one action more and the file is there`, async () => {
        const view = await driver.visit(server.url);
        await view.page.setViewport({ width, height });
        await view.drop(demo().core);
        await view.settled();
        const box = await view.page.$eval('#save', (e) => {
          const { top, bottom, left, right } = e.getBoundingClientRect();
          return { top, bottom, left, right, scrolled: scrollY, on: document.elementFromPoint((left + right) / 2, (top + bottom) / 2)?.closest('a')?.id };
        });
        assert.ok(box.top >= 0 && box.bottom <= height && box.left >= 0 && box.right <= width && box.scrolled === 0 && box.on === 'save', JSON.stringify(box));
        assert.match(await view.text('#save'), /^Save demo-\d{8}-\d{4}\.dmp · 13 MB$/);
        await view.page.evaluate(() => scrollTo(0, document.body.scrollHeight));
        const { top } = await view.page.$eval('#save', (e) => e.getBoundingClientRect().toJSON());
        assert.ok(top >= 0 && top < height, `it stays there: ${top}`);
        assert.equal(await sha256(await view.save()), await expected());
        assert.deepEqual(view.symbolRequests(), []);
        assert.deepEqual(view.foreign(), []);
      });
    }

    test('what is of no use over a finished dump costs nothing, and is named', async () => {
      const view = await driver.visit(server.url);
      await view.drop(demo().core);
      await view.settled();
      const dump = await view.page.$eval('#save', (e) => e.href), verdict = await view.text('#verdict');
      for (const [code, file] of refused()) {
        await view.drop(file);
        const text = await view.failed(code);
        assert.ok(text.startsWith(`${file.split('/').at(-1)}: `), text);
        await view.settled();
        assert.equal(await view.text('#opened-name'), 'Windows guest: demo.elf', code);
        assert.equal(await view.text('#verdict'), verdict, code);
        assert.equal(await view.page.$eval('#save', (e) => e.href), dump, code);
        await view.page.keyboard.press('Escape');
        await view.page.waitForFunction(() => !document.querySelector('.fault'));
      }
      await view.press('#recheck'); // the worker had others open meanwhile
      assert.match(await view.text('[data-notice=dump]'), /as it was/);
      await view.press('#hash');
      assert.equal(await view.text('#hash-value'), `SHA-256 ${await expected()}`);
      assert.equal(await sha256(await view.save()), await expected());
      assert.deepEqual(view.errors, []);
    });

    test('a core among other things: it is opened, the others are named', async () => {
      const view = await driver.visit(server.url), files = refused().filter(([code]) => /other-format|is-dmp/.test(code)).map(([, file]) => file), log = join(work, 'console.log'), packed = join(work, 'ntkrnlmp.pd_');
      writeFileSync(log, '[    0.000000] Linux version 6.1.0\n');
      writeFileSync(packed, Buffer.concat([Buffer.from('MSCF\0\0\0\0'), Buffer.alloc(64)]));
      await view.drop(...files, log, packed, demo().core);
      await view.settled();
      await view.converted();
      const aside = await view.text('[data-notice=aside]');
      for (const name of ['holiday.png', 'memory.dmp', 'console.log', 'ntkrnlmp.pd_']) assert.ok(aside.includes(`${name} (`), `${name} in ${aside}`);
      await view.press('[data-offer=open-file]');
      assert.equal(await view.text('#opened-name'), 'Kernel log: console.log');
    });

    test('a cut core: what was found stays, the cut first; over what is open it is shown on request', async () => {
      const view = await driver.visit(server.url), [, cut] = refused().find(([code]) => code === 'truncated');
      await view.drop(cut);
      await view.settled();
      const fault = await view.failed('truncated');
      assert.ok(fault.indexOf('ends 12 MB early') < fault.indexOf('page tables'), fault);
      for (const known of ['ELF core', 'x86-64', 'CPUs', 'Memory']) assert.match(await view.text('#facts'), new RegExp(known));
      assert.match(await view.text('#warning-list li:first-child'), /^The file ends 12 MB early/);
      assert.ok(await view.hidden('#save'));
      await view.drop(demo().core);
      await view.settled();
      await view.drop(cut);
      await view.failed('truncated');
      await view.settled();
      assert.equal(await view.text('#opened-name'), 'Windows guest: demo.elf');
      await view.press('[data-offer=open-anyway]');
      assert.equal(await view.text('#opened-name'), 'Core: cut.elf');
    });

    test('PDBs before a core are shown, checked, taken back; the picker of PDBs takes any name', async () => {
      const view = await driver.visit(server.url), blob = join(work, 'download.blob');
      writeFileSync(blob, readFileSync(demo().pdb));
      assert.equal(await view.page.$eval('#pdb', (e) => e.accept), '');
      const [, html] = refused().find(([code]) => code === 'symbols-not-a-pdb');
      await view.drop(html);
      await view.failed('symbols-not-a-pdb');
      await view.settled();
      await view.pickPDB(blob);
      await view.settled();
      assert.match(await view.text('#waiting'), /download\.blob .*BB8FBA4DBDC8EAF74C4C44205044422E1/);
      await view.click('#take-back-BB8FBA4DBDC8EAF74C4C44205044422E1');
      await view.page.waitForFunction(() => !document.querySelector('#waiting'));
      await view.pickPDB(blob);
      await view.settled();
      await view.drop(demo().core);
      await view.settled();
      assert.equal((await view.summary()).symbols.status, 'found');
    });

    test('a server that is gone, in each state: said as that, and the work goes on', async () => {
      const mortal = await coredrop(['demo', '-addr', '127.0.0.1:0']), view = await driver.visit(mortal.url);
      await mortal.stop();
      await view.press('#demo-open');
      assert.notEqual(await view.failure(), 'internal');
      assert.match(await view.text('.fault'), /this server could not be reached/i);
      await view.drop(demo().core);
      await view.settled();
      await view.converted();
      await view.click('#symbols-more');
      await view.press('#symbols-get');
      const fault = await view.failed('symbols-offline');
      assert.doesNotMatch(fault, /TypeError|JavaScript|NetworkError|Failed to fetch/);
      await view.drop(demo().pdb);
      await view.settled();
      assert.equal((await view.summary()).symbols.status, 'found');
      assert.equal(await sha256(await view.save()), await byCommandLine(demo().core, '-symbols', demo().pdb));
      await view.press('#hash');
      assert.ok(await view.isVisible('#hash-value'));
    });

    test('two drops within a frame: the first is opened, the second offered', async () => {
      const view = await driver.visit(server.url), input = await view.page.evaluateHandle(() => {
        const e = Object.assign(document.createElement('input'), { type: 'file', multiple: true, id: 'two' });
        e.addEventListener('change', (event) => event.stopPropagation());
        document.body.append(e);
        return e;
      });
      const other = join(work, 'second.elf');
      writeFileSync(other, readFileSync(demo().core));
      await input.uploadFile(demo().core, other);
      await view.now();
      await view.page.evaluate(() => {
        for (const file of document.getElementById('two').files) {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(file);
          document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer }));
        }
      });
      await view.settled();
      assert.equal(await view.text('#opened-name'), 'Windows guest: demo.elf');
      assert.match(await view.text('#next'), /^second\.elf came while something ran/);
      await view.press('#open-next');
      assert.equal(await view.text('#opened-name'), 'Windows guest: second.elf');
    });

    test('the log: what it holds is said, and there is a form without addresses', async () => {
      const view = await driver.visit(server.url);
      await view.drop(demo().core);
      await view.settled();
      await view.page.$eval('#log-pane', (e) => { e.open = true; });
      assert.match(await view.text('#log-holds'), /addresses of the guest’s kernel.*nothing of its memory/s);
      await view.page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { configurable: true, value: { writeText: async (text) => { globalThis.copied = text; } } }));
      await view.click('#log-copy');
      const whole = await view.page.waitForFunction(() => globalThis.copied).then((h) => h.jsonValue());
      assert.match(whole, /0xfffff8/);
      await view.page.evaluate(() => { globalThis.copied = ''; });
      await view.click('#log-copy-redacted');
      const redacted = await view.page.waitForFunction(() => globalThis.copied).then((h) => h.jsonValue());
      assert.doesNotMatch(redacted, /0x[0-9a-f]{5,}|[0-9A-F]{32}/);
      assert.ok(redacted.split('\n').length === whole.split('\n').length && /inspected in/.test(redacted));
    });

    test('keys: the sheet and the palette are the table of commands', async () => {
      const view = await driver.visit(server.url);
      await view.page.keyboard.press('?');
      await view.visible('#help');
      for (const key of ['Ctrl+O', 'Ctrl+S', 'Escape', 'Ctrl+Shift+P']) assert.ok((await view.text('#help')).includes(key), key);
      await view.page.keyboard.press('Escape');
      assert.ok(await view.hidden('#help'));
      await view.drop(demo().core);
      await view.settled();
      const chord = async (...keys) => {
        for (const key of keys) await view.page.keyboard.down(key);
        for (const key of keys.reverse()) await view.page.keyboard.up(key);
      };
      await view.page.evaluate(() => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'P', ctrlKey: true, shiftKey: true, bubbles: true, cancelable: true })));
      await view.visible('#palette');
      await view.page.type('#palette-find', 'sha');
      assert.deepEqual(await view.page.$$eval('.commands button', (l) => l.map((e) => e.dataset.command)), ['hash']);
      await view.now();
      await view.page.keyboard.press('Enter');
      await view.settled();
      assert.ok(await view.isVisible('#hash-value'));
      await chord('Control', 's');
      await view.page.waitForFunction(() => /^Saving demo/.test(document.getElementById('status').textContent));
    });

    test('a panel is one file and one line', async () => {
      const list = readFileSync(join(root, 'web/panels.js'), 'utf8');
      const host = await staticHost('/', {
        'web/panels.js': list.replace("  'warnings',\n", "  'warnings',\n  'dummy',\n"),
        'web/panels/dummy.js': "import { html } from '../../lit-html/lit-html.js';\nexport const panel = { id: 'dummy', title: 'Dummy', when: (s) => s.guest.os === 'windows',\n"
          + "  view: ({ session, ui }, act, set) => html`<button id=\"count\" @click=${() => set({ n: (ui.n || 0) + 1 })}>${session.name} ${ui.n || 0}</button>` };\n",
      });
      try {
        const view = await driver.visit(host.url);
        await view.pick(demo().core);
        await view.settled();
        assert.equal(await view.text('#panel-dummy h3'), 'Dummy');
        await view.click('#count');
        await view.click('#count');
        assert.equal(await view.text('#count'), 'demo.elf 2');
        const log = join(work, 'a.log');
        writeFileSync(log, '[    0.000000] Linux version 6.1.0\n');
        await view.pick(log);
        await view.settled();
        assert.ok(await view.hidden('#panel-dummy'));
        assert.deepEqual(view.errors, []);
      } finally {
        host.stop();
      }
    });

    test('65,536 runs, 4,096 CPUs, names of 64 KB, HTML and right-to-left: shown as text, and no wider than the page', async () => {
      const view = await driver.visit(server.url), long = 'n'.repeat(65536), html = '<img src=x onerror="globalThis.broken=1">', turned = '\u202egnp.exe';
      const runs = Array.from({ length: 65536 }, (_, i) => ({ start: `0x${(i * 8192).toString(16)}`, bytes: 4096, file_offset: i * 4096 }));
      const cpus = Array.from({ length: 4096 }, (_, index) => ({ index, mode: index % 2 ? 'user' : 'kernel', stack: [], process: null }));
      const summary = {
        file: { name: `${turned} ${html} ${long}`, format: 'elf', size: 2 ** 52 }, guest: { os: 'windows', arch: html, build: 1, version: turned, product: long, system_time: '', uptime_seconds: 1 },
        symbols: { status: 'none-needed', key: `${html}/1/${html}`, url: `https://x/${html}`, from: null }, convert: { possible: true, needs: [], types: [] }, cpus, threads: [], reports: [], fragments: [],
        memory: { bytes: 65536 * 4096, missing_bytes: 0, runs, marks: [] }, warnings: Array.from({ length: 2000 }, () => ({ code: 'partial-page', text: html })),
        windows: { kernel_base: '0x1', dtb: '0x1', dtb_from: { way: html, cpu: null }, pdb: { name: html, guid: turned, age: 1 }, kdbg: null, bugcheck: null, modules: [{ name: long, base: '0x1', size: 1 }], processes: [{ pid: 1, name: html, dtb: '0x1' }] },
      };
      await draw(view, summary, { dump: { name: `${summary.file.name}.dmp`, bytes: 1, url: 'blob:x' } });
      await view.page.evaluate((event) => globalThis.galleryStore.dispatch(event), { type: 'notice', notice: { at: 'bar', fault: { code: html, text: html, remedy: [{ text: html, command: long, for: [] }] }, subject: summary.file.name, offers: [] } });
      assert.equal(await view.page.evaluate(() => document.querySelectorAll('main img').length + (globalThis.broken || 0)), 0);
      assert.match(await view.text('#facts'), /CPUs\s*4096; in the kernel: 0, 2, 4/);
      assert.match(await view.text('#facts'), /65,535 holes/);
      assert.equal(await view.page.$$eval('#warning-list > li', (l) => l.length), 100);
      assert.equal(await view.text('#warnings-all'), 'Show all 2,000');
      for (const width of [1280, 320]) {
        await view.page.setViewport({ width, height: 800 });
        const wide = await view.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${width}: ${wide}`);
      }
      assert.ok(await view.page.$eval('.fault h2 bdi', (e) => e.textContent.startsWith('\u202e')), 'a name that turns the direction is kept to itself');
      assert.deepEqual(view.errors, []);
    });
  });
}
