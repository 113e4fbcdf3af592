// What happened, on one screen: the finding, the pictures and the links between
// them, in both browsers.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { binary, byCommandLine, demo, hasCorpus, root, sha256, unpack, work } from './lib/files.js';
import { coredrop, staticHost } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

const axe = readFileSync(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8');

async function violations(view) {
  await view.page.evaluate(axe);
  const list = await view.page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations);
  return list.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}: ${v.nodes[0].failureSummary}`);
}

// golden compares text with a file beside the tests; UPDATE=1 writes it.
function golden(name, text) {
  const file = join(root, 'web/test/golden', name);
  if (process.env.UPDATE) {
    mkdirSync(join(root, 'web/test/golden'), { recursive: true });
    writeFileSync(file, text);
  }
  assert.equal(text, readFileSync(file, 'utf8'), name);
}

// order gives the accessibility tree of the page's content in reading order.
async function order(view) {
  const lines = [], walk = (node, depth) => {
    const text = `${node.role} ${node.name || ''}`.trim().replace(/ \(about [^)]*\)/, '');
    if (node.role !== 'RootWebArea') lines.push(`${'  '.repeat(depth)}${text}`);
    for (const child of node.children || []) walk(child, depth + (node.role === 'RootWebArea' ? 0 : 1));
  };
  walk(await view.page.accessibility.snapshot({ root: await view.page.$('main') }), 0);
  return lines.join('\n') + '\n';
}

// What is compared of another browser's tree. Chromium's leaves out what a list holds.
const ROLES = ['heading', 'link', 'button', 'region', 'listbox', 'textbox', 'combobox', 'checkbox'];

// other gives the elements of those roles as another browser's accessibility tree has
// them, in reading order: WebDriver BiDi gives no tree, but looks up in it by role.
async function other(view) {
  const found = [];
  for (const role of ROLES) for (const element of await view.page.$$(`main >>> ::-p-aria([role="${role}"])`)) found.push([role, element]);
  return view.page.evaluate((roles, ...elements) => {
    const named = (e) => e.ariaLabel || e.getAttribute('aria-labelledby')?.split(' ').map((id) => document.getElementById(id).textContent).join(' ') || e.labels?.[0]?.textContent || e.textContent;
    return elements.map((e, i) => [e, `${roles[i]} ${named(e)}`])
      .sort(([a], [b]) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1)).map(([, text]) => text);
  }, found.map(([role]) => role), ...found.map(([, element]) => element));
}

// same is what both say alike: headings are drawn in capitals, blanks differ, and only
// Chromium has a picker to save by.
const same = (lines) => lines.map((l) => l.toLowerCase().replace(/\s+/g, '').replace(/\(about.*\)$/, '')).filter((l) => l !== 'buttonsavetoaplaceofchoice');

const crash = () => {
  const file = join(work, 'crash.elf');
  if (!existsSync(file)) writeFileSync(file, gunzipSync(readFileSync(join(root, 'core/demo/crash.elf.gz'))));
  return file;
};

for (const kind of kinds) {
  describe(`what happened, in ${kind}`, () => {
    let server, driver;
    before(async () => {
      server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });

    test('a bug check: its name, the driver, the processor; every place leads to its module', async () => {
      const view = await driver.visit(server.url);
      await view.press('#sample-crash');
      assert.equal(await view.text('#result-title'), 'Bug check: DRIVER_IRQL_NOT_LESS_OR_EQUAL (0xD1) in minidrv+0x1319');
      assert.equal((await view.text('#blame')).replace(/\s+/g, ' '), 'address touched 0xffffe00123456780 · IRQL 2 · write · instruction address minidrv+0x1319');
      assert.match(await view.text('#caller'), /^On CPU 2 in System: nt!KeBugCheckEx\+0x0 ← .*minidrv\+0x1319/);
      assert.equal(await view.page.$eval('.tile[data-kind=crasher]', (e) => e.id), 'cpu-2');
      assert.deepEqual(await view.page.$$eval('.tile', (l) => l.map((e) => e.dataset.kind)), ['idle', 'kernel', 'crasher', 'user']);
      const { windows, cpus } = await view.summary(), module = (a) => windows.modules.findIndex((m) => BigInt(m.base) <= BigInt(a) && BigInt(a) < BigInt(m.base) + BigInt(m.size));
      const stack = cpus[2].stack.map((f) => module(f.address) >= 0);
      assert.deepEqual(await view.page.$$eval('#cpu-detail > .stack > li', (l) => l.map((e) => Boolean(e.querySelector('a')))), stack, 'what lies in a module is a link');
      assert.ok(stack.filter(Boolean).length > 8);
      await view.page.$eval('#blame a', (e) => e.click());
      const id = `module-${module('0xfffff80318971319')}`;
      await view.page.waitForFunction((id) => document.activeElement.id === id, {}, id);
      assert.match(await view.text(`#${id}`), /^minidrv\.sys\s+in the bug check/);
      await view.page.$eval('#processes-table tbody tr:last-child a.code', (e) => e.click());
      await view.page.waitForFunction(() => document.activeElement.id === 'memory-map');
      assert.match(await view.text('#memory-said'), /^0x455000: /);
      assert.deepEqual(await violations(view), []);
      await view.page.close();
    });

    test('threads, on request: equal stacks once; the dump stays', async () => {
      const view = await driver.visit(server.url);
      await view.pick(crash());
      await view.settled();
      const save = await view.page.$eval('#save', (e) => e.href);
      await view.press('#threads-read');
      assert.match(await view.text('#threads-count'), /^10 threads in 8 different stacks$/);
      assert.equal(await view.page.$eval('#save', (e) => e.href), save);
      await view.page.type('#threads-find', 'smss');
      assert.match(await view.text('#threads-count'), /^3 of 10 threads in 3 /);
      assert.deepEqual((await view.summary()).threads, JSON.parse(execFileSync(binary, ['stacks', '-threads', '-json', '-symbols', 'none', crash()], { encoding: 'utf8' })).threads);
      await view.page.$$eval('#panel-threads details', (l) => l.forEach((d) => { d.open = true; }));
      assert.deepEqual(await violations(view), []);
      await view.press('#recheck');
      await view.page.close();
    });

    test('the registers of the moment, where Windows recorded others: the dump is the command line’s', async () => {
      const view = await driver.visit(server.url);
      await view.pick(crash());
      await view.settled();
      assert.match(await view.text('#caller'), /KeBugCheckEx/);
      await view.press('#live');
      assert.match(await view.text('#command'), /-registers live /);
      assert.equal(await sha256(await view.save()), await byCommandLine(crash(), '-symbols', 'none', '-registers', 'live'));
      await view.press('#live');
      assert.equal(await sha256(await view.save()), await byCommandLine(crash(), '-symbols', 'none'));
      await view.pick(demo().core);
      await view.settled();
      assert.equal(await view.page.$('#live'), null, 'a guest that was alive has no others');
      await view.page.close();
    });

    test('memory by keyboard; what it says is in the table', async () => {
      const view = await driver.visit(server.url);
      await view.pick(crash());
      await view.settled();
      await view.page.focus('#memory-map');
      await view.page.keyboard.press('Home');
      await view.page.waitForSelector('#segment-0[aria-selected=true]');
      assert.match(await view.text('#memory-said'), /^0x100000 to 0xd00000: 13 MB in the core/);
      await view.page.$eval('#panel-memory summary', (e) => e.click());
      await view.visible('#memory-table');
      const { memory } = JSON.parse(execFileSync(binary, ['info', '-json', crash()], { encoding: 'utf8' }));
      const rows = await view.page.$$eval('#memory-table tbody tr', (l) => l.map((tr) => tr.cells[0].textContent.trim()));
      for (const m of memory.marks) assert.ok(rows.includes(m.pa), m.pa);
      await view.page.type('#memory-find', '0xfffc0000');
      await view.page.keyboard.press('Enter');
      await view.page.waitForFunction(() => /0xfffc0000 is not in the core/.test(document.getElementById('memory-said').textContent));
      await view.page.close();
    });

    test('a link to a panel leads there once something is open', async () => {
      const view = await driver.visit(`${server.url}#panel-modules`);
      await view.pick(crash());
      await view.settled();
      await view.page.waitForFunction(() => document.activeElement.id === 'panel-modules');
      await view.page.close();
    });

    test('the summary to take along', async () => {
      const view = await driver.visit(server.url);
      await view.pick(crash());
      await view.settled();
      await view.page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { configurable: true, value: { writeText: async (text) => { window.copied = text; } } }));
      const copied = async (id) => {
        await view.page.evaluate(() => { window.copied = null; });
        await view.click(id);
        await view.page.waitForFunction(() => window.copied !== null);
        return view.page.evaluate(() => window.copied);
      };
      assert.equal(await copied('#summary-copy-json'), execFileSync(binary, ['info', '-json', crash()], { encoding: 'utf8' }));
      assert.match(await copied('#summary-copy-markdown'), /^## DRIVER\\_IRQL\\_NOT\\_LESS\\_OR\\_EQUAL \(0xD1\)/);
      assert.match(await copied('#summary-copy-text'), /\nCPU 2, System \(4\)\n {2}nt!KeBugCheckEx\+0x0\n/);
      await view.page.close();
    });

    test('the sample of races; where one gets a core; what was refused stays in the list', async () => {
      const view = await driver.visit(server.url);
      await view.page.focus('#where-qemu');
      await view.page.keyboard.press('ArrowLeft');
      assert.equal(await view.page.evaluate(() => document.activeElement.id), 'where-kubevirt');
      assert.match(await view.text('#where-text'), /virtctl memory-dump get/);
      const text = join(work, 'letter.txt');
      writeFileSync(text, 'a letter');
      await view.pick(text);
      await view.failed();
      assert.match(await view.text('#refused'), /letter\.txt .*\[unknown-format\]/);
      assert.deepEqual(await violations(view), []);
      await view.press('#sample-races');
      assert.equal(await view.text('#result-title'), '46 races printed');
      assert.equal(await view.page.$$eval('#races-list > li', (l) => l.length), 46);
      assert.equal(await view.page.$$eval('.side .stack', (l) => l.length), 2);
      await view.press('#race-log');
      await view.page.waitForFunction(() => document.activeElement.id === 'dmesg-line');
      assert.match(await view.text('#dmesg-line'), /BUG: KCSAN: data-race in/);
      await view.click('#dmesg-all');
      await view.page.type('#dmesg-find', 'BUG: KCSAN');
      assert.match(await view.text('#dmesg-count'), /^46 of /);
      assert.deepEqual(await violations(view), []);
      await view.page.close();
    });

    test('one race among 47 that nobody printed: chosen, both sides in view without scrolling inside', { skip: hasCorpus ? false : 'the corpus is not here' }, async () => {
      const view = await driver.visit(server.url);
      await view.page.setViewport({ width: 1280, height: 800 });
      await view.pick(unpack('kcsan/a-inflight-unknown'));
      await view.settled();
      assert.equal(await view.text('#result-title'), '1 race the console never saw');
      assert.match(await view.text('#race-title'), /^data-race in test_kernel_read\s+in flight$/);
      assert.deepEqual(await view.page.$$eval('.sides > .side', (l) => l.map((e) => e.scrollHeight <= e.clientHeight + 1 && e.getBoundingClientRect().bottom <= innerHeight)), [true, true]);
      assert.match(await view.text('.side + .side'), /unknown origin/);
      assert.deepEqual(await view.page.$$eval('.tile .head', (l) => l.map((e) => e.textContent.trim())), ['CPU 0 reporting a race', 'CPU 1 running', 'CPU 2 watchpoint armed', 'CPU 3 watchpoint armed']);
      await view.click('.filter[data-state=residue]');
      assert.equal(await view.text('#races-count'), '2 of 47');
      assert.match(await view.text('#race-title'), /^data-race in test_kernel_read/, 'the choice stays');
      assert.deepEqual(await violations(view), []);
      await view.page.close();
    });

    test('the reading order', async () => {
      const view = await driver.visit(server.url);
      await view.pick(crash());
      await view.settled();
      const read = async (name) => {
        if (kind === 'chromium') {
          golden(name, await order(view));
          return;
        }
        const lines = readFileSync(join(root, 'web/test/golden', name), 'utf8').split('\n').map((l) => l.trim()).filter((l) => ROLES.includes(l.split(' ')[0]));
        assert.ok(lines.length > 10);
        assert.deepEqual(same(await other(view)), same(lines));
      };
      await read('order-crash.txt');
      await view.click('#close');
      await view.press('#sample-races');
      await read('order-races.txt');
      await view.page.close();
    });

    test('the samples open where only files are served', async () => {
      const host = await staticHost();
      try {
        const view = await driver.visit(host.url);
        await view.press('#sample-crash');
        await view.converted();
        await view.page.close();
      } finally {
        host.stop();
      }
    });
  });
}
