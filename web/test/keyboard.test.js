// By keyboard alone: from a file to the saved dump, and through all that a page
// shows, in the order in which it is read.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { byCommandLine, demo, sha256 } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

// mark numbers what can be used by key, in the order of the document, and gives its
// names. What is inside of what is closed cannot be used yet; of a list of tabs one
// takes the focus, as of every list.
const mark = (view) => view.page.evaluate(() => {
  const usable = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true }) && !e.closest('[hidden], svg') && !(e.closest('details:not([open])') && !(e.matches('summary') && e.parentElement.parentElement.closest('details:not([open])') === null)));
  for (const e of document.querySelectorAll('[data-walk]')) delete e.dataset.walk;
  usable.forEach((e, i) => { e.dataset.walk = String(i); });
  return usable.map((e) => e.id || `${e.localName} ${(e.ariaLabel || e.textContent).trim().slice(0, 40)}`);
});

// walked presses Tab from the first to the last of them, and gives what was wrong
// where the focus went: it goes to each in turn, can be seen there, and lies under
// nothing.
async function walked(view) {
  const names = await mark(view), wrong = [];
  let next = 1, strayed = 0;
  await view.page.focus('[data-walk="0"]');
  while (next < names.length && strayed < 20) {
    await view.page.keyboard.press('Tab');
    const at = await view.page.evaluate(() => {
      const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
      const bar = e.closest('#bar') ? 0 : document.getElementById('bar').getBoundingClientRect().bottom;
      // A small one is in view whole, of a large one a part is.
      const seen = box.height < innerHeight / 2 ? box.top >= bar - 1 && box.bottom <= innerHeight + 1 : box.bottom > bar && box.top < innerHeight;
      return { walk: e.dataset.walk, name: e.id || e.localName, outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0, seen, box: JSON.stringify(box) };
    });
    // Both browsers stop at what scrolls, too.
    if (at.walk === undefined) { strayed++; continue; }
    if (Number(at.walk) !== next) wrong.push(`${names[at.walk]} came where ${names[next]} is next`);
    if (!at.outline) wrong.push(`nothing shows that ${names[at.walk]} has the focus`);
    if (!at.seen) wrong.push(`${names[at.walk]} is out of sight: ${at.box}`);
    next = Number(at.walk) + 1;
  }
  if (next < names.length) wrong.push(`Tab does not lead to ${names[next]}`);
  return { names, wrong };
}

for (const kind of kinds) {
  describe(`by keyboard in ${kind}`, () => {
    let server, driver;
    before(async () => {
      server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
      driver = await launch(kind);
    });
    after(async () => {
      await driver?.close();
      await server?.stop();
    });
    const press = (view, ...keys) => keys.reduce((before, key) => before.then(() => view.page.keyboard.press(key)), Promise.resolve());
    const focused = (view) => view.page.evaluate(() => document.activeElement.id);

    test('from the picker to the saved dump', async () => {
      // The input's own picker, which a test can answer.
      const view = await driver.visit(server.url, { before: () => { delete globalThis.showOpenFilePicker; } });
      await press(view, 'Tab');
      assert.equal(await focused(view), 'file');
      await view.now();
      const [chooser] = await Promise.all([view.page.waitForFileChooser(), press(view, ' ')]);
      await chooser.accept([demo().core]);
      await view.settled();
      await view.converted();
      assert.equal(await focused(view), 'result-title', 'what was found has the focus');
      await view.page.keyboard.down('Shift');
      for (let i = 0; i < 3 && await focused(view) !== 'save'; i++) await press(view, 'Tab');
      await view.page.keyboard.up('Shift');
      assert.equal(await focused(view), 'save', 'it is right before it');
      assert.equal(await sha256(await view.save(undefined, () => press(view, 'Enter'))), await byCommandLine(demo().core, '-symbols', 'none'));
      await view.page.close();
    });

    test('through the start, a bug check and its panels', async () => {
      const view = await driver.visit(server.url);
      const start = await walked(view);
      assert.deepEqual(start.wrong, []);
      for (const id of ['file', 'sample-crash', 'sample-races', 'where-qemu', 'keys']) assert.ok(start.names.includes(id), id);
      await view.page.focus('#sample-crash');
      await view.now();
      await press(view, 'Enter');
      await view.settled();
      await view.page.focus('#threads-read');
      await view.now();
      await press(view, 'Enter');
      await view.settled();
      await view.page.waitForSelector('#threads-list');
      const { names, wrong } = await walked(view);
      assert.deepEqual(wrong, []);
      for (const id of ['another', 'close', 'save', 'cpu-0', 'memory-map', 'memory-find', 'modules-copy', 'processes-copy', 'threads-find', 'type', 'compat', 'recheck', 'hash', 'symbols-more', 'summary-copy-json', 'json-show', 'log-pane']) {
        assert.ok(names.includes(id) || names.some((n) => id === 'log-pane' && n === 'summary Log'), `${id} of ${names}`);
      }
      // What is reached is used: a processor, what is closed, a table's order, a thread.
      await view.page.focus('#cpu-1');
      await press(view, 'Enter');
      await view.page.waitForSelector('#cpu-1[aria-pressed=true]');
      await view.page.focus('#threads-list summary');
      await press(view, 'Enter');
      await view.page.waitForSelector('#threads-list details[open] .stack');
      await view.page.focus('#modules-table thead button');
      await press(view, ' ');
      await view.page.waitForSelector('#modules-table th[aria-sort=ascending]');
      const opened = await walked(view);
      assert.deepEqual(opened.wrong, []);
      assert.ok(opened.names.length > names.length, 'what was opened is reached as well');
      await view.page.close();
    });

    test('through a log of races and its panels', async () => {
      const view = await driver.visit(server.url);
      await view.page.focus('#sample-races');
      await view.now();
      await press(view, 'Enter');
      await view.settled();
      await view.page.focus('#race-show-text');
      await press(view, 'Enter');
      await view.page.waitForSelector('#race-text');
      await view.page.focus('#dmesg-show');
      await view.now();
      await press(view, 'Enter');
      await view.settled();
      await view.page.waitForSelector('#dmesg');
      const { names, wrong } = await walked(view);
      assert.deepEqual(wrong, []);
      for (const id of ['race-show-text', 'race-log', 'race-text', 'races-filter', 'races-copy-text', 'races-list', 'dmesg-find', 'dmesg-copy', 'dmesg']) assert.ok(names.includes(id), `${id} of ${names}`);
      await view.page.close();
    });
  });
}
