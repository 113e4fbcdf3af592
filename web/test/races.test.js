// The race reports of Linux cores and of kernel logs in the page: the same as
// the command line's.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, hasCorpus, root, unpack, work } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { counts, instrumented } from './lib/instrument.js';
import { kinds, launch } from './lib/browsers.js';
import { draw } from './lib/gallery.js';

const axe = readFileSync(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8');
const golden = (name) => readFileSync(join(root, 'core/kcsan/testdata/golden', name), 'utf8');
const kcsan = (...args) => execFileSync(binary, ['kcsan', ...args], { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] });

// aLog writes a kernel log with two race reports, one of them twice, and gives
// its name.
function aLog() {
  const file = join(work, 'console.log');
  const stamped = (text, from) => text.trimEnd().split('\n').map((line, i) => `[${String(from + i / 1000).padStart(5)}${'0'.repeat(6)}`.slice(0, 13).padEnd(13, '0') + `] ${line}\n`).join('');
  const one = golden('symbolized.txt'), two = golden('reference-unknown-origin.txt');
  writeFileSync(file, stamped('Linux version 6.1.0', 10.001) + stamped(one, 11.001) + stamped('noise', 12.001) + stamped(two, 13.001) + stamped(one, 14.001));
  return file;
}

// watchClipboard keeps what the page copies: headless browsers have no
// clipboard of their own that a test could read in both.
async function watchClipboard(view) {
  await view.page.evaluate(() => {
    Object.defineProperty(navigator, 'clipboard', { configurable: true, value: { writeText: async (text) => { window.copied = text; } } });
  });
}

async function copied(view, selector) {
  await view.page.evaluate(() => { window.copied = null; });
  await view.click(selector);
  await view.page.waitForFunction(() => window.copied !== null);
  assert.equal(await view.text('#status'), 'copied');
  return view.page.evaluate(() => window.copied);
}

async function violations(view) {
  await view.page.$$eval('#result details', (all) => all.forEach((d) => { d.open = true; }));
  await view.page.evaluate(axe);
  const list = await view.page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations);
  return list.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}: ${v.nodes[0].failureSummary}`);
}

// table gives the cells of the table whose heading begins with the title.
function table(view, title) {
  return view.page.$$eval('#linux-tables details', (all, title) => {
    const box = all.find((d) => d.querySelector('summary').textContent.startsWith(`${title} (`));
    return box && [...box.querySelectorAll('tbody tr')].map((tr) => [...tr.cells].map((cell) => cell.textContent));
  }, title);
}

const options = (view) => view.page.$$eval('#races-list > [role=option]', (l) => l.length);

// texts chooses each report of the list, the first ones by key, and gives its text.
async function texts(view) {
  if (await view.page.$('#race-show-text[aria-expanded=false]')) await view.click('#race-show-text');
  await view.page.focus('#races-list');
  const chosen = (i) => view.page.waitForFunction((i) => document.querySelectorAll('#races-list > [role=option]')[i]?.getAttribute('aria-selected') === 'true', {}, i);
  await view.page.keyboard.press('End');
  await chosen(await options(view) - 1);
  await view.page.keyboard.press('Home');
  await chosen(0);
  if (await options(view) > 1) {
    await view.page.keyboard.press('ArrowDown');
    await chosen(1);
    await view.page.keyboard.press('ArrowUp');
    await chosen(0);
  }
  return view.page.evaluate(async () => {
    const all = [];
    for (const { id } of [...document.querySelectorAll('#races-list > [role=option]')]) {
      document.getElementById(id).click();
      await new Promise((next) => { setTimeout(next); });
      all.push(document.getElementById('race-text').textContent);
    }
    document.querySelector('#races-list > [role=option]').click();
    return all;
  });
}

// sameReports asserts that the page shows the reports, and that a filter keeps the
// one that is chosen and says how many it lets through.
async function sameReports(view, reports) {
  assert.equal(await options(view), reports.length);
  assert.deepEqual((await texts(view)).sort(), reports.map((r) => r.text).sort());
  const chosen = await view.text('#race-title'), { title } = reports.at(-1);
  await view.page.type('#races-filter', title);
  const wanted = reports.filter((r) => r.title.toLowerCase().includes(title.toLowerCase())).length;
  assert.equal(await options(view), wanted, 'filtered');
  assert.equal(await view.text('#races-count'), wanted === reports.length ? '' : `${wanted} of ${reports.length}`);
  assert.equal(await view.text('#race-title'), chosen, 'the choice stays');
  await view.page.click('#races-filter', { count: 3 });
  await view.page.keyboard.press('Backspace');
  assert.equal(await options(view), reports.length, 'not filtered any more');
}

for (const kind of kinds) {
  describe(`race reports in ${kind}`, () => {
    let server, driver;
    before(async () => {
      server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });
    const done = async (view) => {
      assert.deepEqual(view.foreign(), []);
      assert.deepEqual(view.errors, []);
      await view.page.close();
    };

    for (const name of ['a-inflight-signal', 'a-live', 'a-novmci', 'f-heap-inflight']) {
      test(name, { skip: hasCorpus ? false : 'the corpus is not here' }, async () => {
        const core = unpack(`kcsan/${name}`), view = await driver.visit(server.url);
        await watchClipboard(view);
        await view.pick(core);
        await view.settled();
        assert.equal(await view.failure(), '', await view.text('#log'));
        const shown = await view.summary(), cli = JSON.parse(kcsan('-json', core));
        assert.ok(shown.reports.length > 0);
        assert.deepEqual(shown, cli);
        assert.ok(await view.hidden('#panel-dump'));
        assert.equal(await view.isVisible('#another'), true);
        assert.match(await view.text('#command'), /^coredrop kcsan /);
        assert.match(await view.text('#verdict'), new RegExp(`^${cli.reports.length} (different race reports|race report): `));
        assert.equal(await view.text('#opened-name'), `Linux guest: ${cli.file.name}`);
        await sameReports(view, cli.reports);

        if (name === 'f-heap-inflight') { // the one with memory that says whose it is
          const object = shown.reports.find((r) => r.state === 'in-flight').accesses.at(-1).object;
          assert.match(object.text, /^object of slab cache race_cache, offset 68$/);
          assert.equal(await view.text('#race-object'), `Raced on ${object.text}`);
        }

        const text = kcsan(core);
        assert.equal(await copied(view, '#races-copy-text'), text.slice(text.indexOf('\n\n') + 2), 'as the command line prints them');
        assert.deepEqual(JSON.parse(await copied(view, '#races-copy-json')), cli.reports);
        const markdown = await copied(view, '#races-copy-markdown');
        assert.equal(markdown.match(/^```text$/gm).length, cli.reports.length);
        for (const r of cli.reports) assert.ok(markdown.includes('```text\n' + r.text.trimEnd() + '\n```\n'));

        const detail = cli.linux.detail;
        assert.deepEqual(await table(view, 'Tasks'), detail.tasks.map((t) => [String(t.pid), t.name]));
        assert.deepEqual((await table(view, 'CPUs')).map((row) => row[2]), cli.cpus.map((c) => c.stack.map((f) => f.symbol ? `${f.symbol}+0x${f.offset.toString(16)}/0x${f.size.toString(16)}${f.module ? ` [${f.module}]` : ''}` : f.address).join('\n')));
        assert.deepEqual((await table(view, 'Counters')).map(([n, v]) => [n, v.replaceAll(',', '')]), detail.kcsan.counters.map((c) => [c.name, String(c.value)]));
        const armed = (await table(view, 'Watchpoints')).filter((row) => row[1] === 'armed');
        assert.deepEqual(armed.map((row) => [row[0], row[2]]), detail.kcsan.watchpoints.filter((w) => w.state === 'armed').map((w) => [String(w.index), w.address]));
        assert.ok((await table(view, 'Configuration')).some((row) => row.join(' ') === `slots for reports ${detail.kcsan.slots}`));
        assert.deepEqual(await view.page.$$eval('#linux-commands code', (l) => l.map((e) => e.textContent)), detail.commands);

        assert.ok(await view.hidden('#dmesg'), 'the log comes on request');
        await view.click('#dmesg-show');
        await view.visible('#dmesg');
        const log = kcsan('-log', core);
        assert.equal((await view.page.$eval('#dmesg', (e) => e.textContent)), log);
        assert.equal(await copied(view, '#dmesg-copy'), log);
        await done(view);
      });
    }

    test('little memory is held', { skip: hasCorpus ? false : 'the corpus is not here' }, async (t) => {
      const host = await instrumented();
      try {
        for (const name of ['a-live', 'c-live', 'd-live']) {
          const view = await driver.visit(host.url);
          await view.pick(unpack(`kcsan/${name}`));
          await view.settled();
          assert.ok(await view.isVisible('#panel-races'));
          const { memory } = await counts(view);
          t.diagnostic(`${kind}, ${name}: ${(memory / 2 ** 20).toFixed(1)} MiB of wasm memory`);
          assert.ok(memory < 64 * 2 ** 20, `${name}: ${memory} bytes`);
          await view.page.close();
        }
      } finally {
        host.stop();
      }
    });

    test('the tables are sorted by keyboard, and say so', { skip: hasCorpus ? false : 'the corpus is not here' }, async () => {
      const view = await driver.visit(server.url);
      await view.pick(unpack('kcsan/a-inflight-signal'));
      await view.settled();
      assert.deepEqual(await violations(view), []);
      const counters = () => table(view, 'Counters');
      const state = () => view.page.evaluate(() => [...document.activeElement.closest('tr').cells].map((th) => `${th.scope} ${th.getAttribute('aria-sort')}`));
      const before = await counters(), number = (row) => Number(row[1].replaceAll(',', ''));
      await view.page.evaluate(() => [...document.querySelectorAll('thead button')].find((b) => b.textContent === 'Value' && b.closest('table').caption.textContent.includes('ounters')).focus());
      await view.page.keyboard.press('Enter');
      assert.deepEqual(await state(), ['col null', 'col ascending']);
      assert.deepEqual((await counters()).map(number), before.map(number).sort((a, b) => a - b));
      await view.page.keyboard.press(' ');
      assert.deepEqual(await state(), ['col null', 'col descending']);
      assert.deepEqual((await counters()).map(number), before.map(number).sort((a, b) => b - a));
      assert.notDeepEqual(await counters(), before, 'this core’s counters do not come sorted');
      await view.page.setViewport({ width: 320, height: 640 });
      const wide = await view.page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 320, `320 pixels are enough: ${wide}`);
      await done(view);
    });

    test('a log, picked', async () => {
      const file = aLog(), view = await driver.visit(server.url);
      await watchClipboard(view);
      await view.pick(file);
      await view.settled();
      assert.equal(await view.failure(), '', await view.text('#log'));
      const { reports } = JSON.parse(kcsan('-json', file));
      assert.equal(reports.length, 2);
      assert.deepEqual(reports.map((r) => r.count).sort(), [1, 2]);
      const shown = (await view.summary()).reports;
      const plain = (list) => list.map((r) => JSON.stringify([r.title, r.text, r.state, r.count, r.times])).sort();
      assert.deepEqual(plain(shown), plain(reports));
      assert.equal(await view.text('#opened-name'), 'Kernel log: console.log');
      assert.equal(await view.text('#verdict'), '2 different race reports: 3 printed.');
      assert.ok(await view.hidden('#panel-linux'));
      assert.ok(await view.hidden('#panel-dump'));
      await sameReports(view, reports);

      const first = '#race button[data-form=';
      assert.match(await copied(view, first + 'text]'), /^# printed [^\n]*\n={5,}\nBUG: KCSAN: /);
      const markdown = await copied(view, first + 'markdown]');
      assert.ok(markdown.startsWith('### ') && markdown.includes('```text\n==') && markdown.endsWith('\n```\n'), markdown);
      assert.deepEqual(JSON.parse(await copied(view, first + 'json]')).map((r) => r.text), [await view.page.$eval('#race-text', (e) => e.textContent)]);
      assert.deepEqual(await violations(view), []);
      await done(view);
    });

    test('a log, pasted; into a field it is only text', async () => {
      const text = readFileSync(aLog(), 'utf8'), view = await driver.visit(server.url);
      const paste = (selector, text) => view.page.evaluate((selector, text) => {
        const data = new DataTransfer();
        data.setData('text/plain', text);
        // Firefox has two members of its own for what the others call clipboardData.
        const event = new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: data, dataType: 'text/plain', data: text });
        document.querySelector(selector).dispatchEvent(event);
        return event.defaultPrevented;
      }, selector, text);
      await view.now();
      assert.equal(await paste('body', text), true);
      await view.settled();
      assert.equal(await options(view), 2);
      assert.ok(await view.hidden('#panel-command'), 'there is no file of that name for the command line');
      assert.equal(await paste('#races-filter', 'alpha'), false);
      assert.equal(await options(view), 2);
      assert.equal(await paste('body', 'nothing of a kernel'), true);
      await view.settled();
      assert.match(await view.text('[data-notice=bar]'), /no kernel log/);
      assert.equal(await options(view), 2, 'an accident costs nothing');
      await view.click('#close');
      await view.now();
      assert.equal(await paste('body', 'nothing of a kernel'), true);
      await view.settled();
      assert.equal(await view.text('#races-text'), 'No race reports in this log.');
      assert.ok(await view.hidden('#races-tools'));
      await done(view);
    });

    test('a kernel without KCSAN has tasks, CPUs, modules, debuggers and no sanitizer’s tables', async () => {
      const view = await driver.visit(server.url);
      await view.page.waitForFunction(() => document.documentElement.dataset.phase === "empty"); // the page itself draws no more
      const summary = {
        file: { name: 'a core', format: 'elf', size: 1 }, guest: { os: 'linux', arch: 'x86-64', version: '6.1.0' }, warnings: [],
        cpus: [{ index: 0, process: null, stack: [{ symbol: 'default_idle', offset: 9, size: 32, module: '', address: '0x1' }] }], reports: [],
        symbols: {}, convert: { needs: [] }, memory: { bytes: 0, runs: [] },
        linux: { release: '6.1.0', detail: {
          kcsan: null, log_records: 7, tasks_whole: true, tasks: [{ pid: 1, name: 'init' }, { pid: 22, name: '<b>2</b>' }],
          modules: [{ name: 'zeta', base: '0xffffffffc0000000', size: 16384 }, { name: 'alpha', base: '0xffffffffc0008000', size: 8192 }],
          commands: ["crash --kaslr=auto vmlinux-6.1.0 'a core'"],
        } },
      };
      await draw(view, summary);
      assert.equal(await view.text('#races-text'), 'No race reports: this kernel was built without KCSAN.');
      assert.ok(await view.hidden('#races-tools'));
      assert.deepEqual(await view.page.$$eval('#linux-tables summary', (l) => l.map((e) => e.textContent)), ['Tasks (2)', 'CPUs (1)', 'Modules (2)']);
      assert.deepEqual(await table(view, 'Tasks'), [['1', 'init'], ['22', '<b>2</b>']]);
      assert.deepEqual(await view.page.$$eval('#linux-commands code', (l) => l.map((e) => e.textContent)), summary.linux.detail.commands);
      await view.page.evaluate(() => [...document.querySelectorAll('thead button')].find((b) => b.textContent === 'Module').click());
      assert.deepEqual((await table(view, 'Modules')).map((row) => row[0]), ['alpha', 'zeta']);
      await view.click('#dmesg-show');
      await view.visible('#dmesg');
      assert.equal(await view.text('#dmesg'), '[    0.000000] Linux version 6.1.0');
      await done(view);
    });

    test('a retyped report says what differs, a piece says why it is none', async () => {
      const log = join(work, 'mail.txt'), view = await driver.visit(server.url);
      const whole = golden('v5.17-reordered.txt');
      writeFileSync(log, `> ${whole.replace(/^=+\n/, '').replace(/\n/g, '\n> ')}\n\nBUG: KCSAN: data-race in only_a / name\n`);
      await view.pick(log);
      await view.settled();
      assert.equal(await view.text('#verdict'), '1 race report: 1 printed; 1 report is not whole.');
      assert.match(await view.text('#race-label'), /retyped: the opening separator is missing/);
      await view.click('#race-1');
      assert.equal(await view.text('#race-title'), 'data-race in only_a / name not whole');
      assert.match(await view.text('#race-label'), /^Not a whole report: ./);
      writeFileSync(log, 'we saw BUG: KCSAN: data-race in only_a / name here\n');
      await view.pick(log);
      await view.settled();
      assert.equal(await view.text('#verdict'), 'No whole race report: 1 report is not whole.');
      await done(view);
    });

    test('a log without reports is a log, another text is not', async () => {
      const log = join(work, 'boot.txt'), text = join(work, 'letter.txt'), view = await driver.visit(server.url);
      writeFileSync(log, '[    0.000000] Linux version 6.1.0\n[    0.000001] Command line: quiet\n');
      writeFileSync(text, 'a letter');
      await view.pick(log);
      await view.settled();
      assert.equal(await view.text('#races-text'), 'No race reports in this log.');
      await view.pick(text);
      assert.match(await view.failed('unknown-format'), /^letter\.txt: /);
      assert.equal(await view.text('#opened-name'), 'Kernel log: boot.txt', 'what is open stays');
      await done(view);
    });
  });
}
