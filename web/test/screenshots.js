// Pictures of each state of the page, light and dark, wide and 320 pixels, to
// build/screenshots: make screenshots. They are there to be looked at. With PICTURES=1
// the four of the README are taken too.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { demo, hasCorpus, root, unpack, work } from './lib/files.js';
import { coredrop } from './lib/servers.js';
import { launch } from './lib/browsers.js';

const out = join(root, 'build/screenshots');
mkdirSync(out, { recursive: true });
const server = await coredrop(['demo', '-addr', '127.0.0.1:0']);
const text = join(work, 'notes.txt');
writeFileSync(text, 'not a core');

// picture takes one of the README's, as much as one screen holds.
async function picture(view, name, dark) {
  if (process.env.PICTURES && !dark) await view.page.screenshot({ path: join(root, 'web/test/pictures', `${name}.png`) });
}

for (const dark of [false, true]) {
  const driver = await launch('chromium', { dark });
  for (const width of [1280, 320]) {
    const view = await driver.visit(server.url);
    await view.page.setViewport({ width, height: 900 });
    const shot = (state) => view.page.screenshot({ path: join(out, `${state}-${dark ? 'dark' : 'light'}-${width}.png`), fullPage: true });
    await shot('start');
    if (width === 1280) await picture(view, 'start', dark);
    await view.page.evaluate(() => { document.getElementById('overlay').hidden = false; });
    await shot('drop');
    await view.page.evaluate(() => { document.getElementById('overlay').hidden = true; });
    await view.pick(text);
    await view.failed();
    await shot('failure');
    await view.click('.fault .close');
    await shot('start-refused');
    await view.press('#sample-races');
    await shot('sample-races');
    if (width === 1280) await picture(view, 'races', dark);
    await view.press('#race-log');
    await shot('log-line');
    await view.click('#close');
    await view.press('#sample-crash');
    await shot('sample-crash');
    if (width === 1280) await picture(view, 'crash', dark);
    await view.press('#threads-read');
    await view.page.$$eval('#result details', (l) => l.forEach((d) => { d.open = true; }));
    await shot('sample-crash-all');
    for (const id of ['help', 'palette']) {
      await view.page.evaluate((id) => document.getElementById(id).showModal(), id);
      await view.page.screenshot({ path: join(out, `${id}-${dark ? 'dark' : 'light'}-${width}.png`) });
      await view.page.keyboard.press('Escape');
    }
    await view.pick(demo().core);
    await view.settled();
    await shot('open');
    if (width === 1280) await picture(view, 'alive', dark);
    await view.press('#hash');
    await view.click('#save');
    await view.visible('#save-note');
    await shot('saved');
    await view.pick(text);
    await view.failed();
    await shot('refused');
    await view.page.evaluate(async () => { // the state between, held still
      const from = (name) => import(new URL(`app/${globalThis.coredropBoot.build.hash}/${name}`, document.baseURI));
      const [{ render }, { bar }] = await Promise.all(['lit-html/lit-html.js', 'web/frame/bar.js'].map(from));
      const progress = { stage: 'preparing the dump', done: 2.1, total: 4.8, text: 'preparing the dump: 2.1 GB of 4.8 GB, 390 MB per second, 7 s left' };
      render(bar({ job: { title: 'Preparing the dump', at: 'dump' }, progress, phase: 'busy', session: null }, () => {}), document.getElementById('bar-now'));
    });
    await shot('working');
    if (hasCorpus) {
      await view.page.reload();
      await view.ready();
      await view.pick(unpack('kcsan/a-inflight-signal'));
      await view.settled();
      await view.page.$$eval('#linux-tables details', (l) => l.forEach((d) => { d.open = true; }));
      await view.click('#dmesg-show');
      await view.visible('#dmesg');
      await shot('races');
    }
    await view.page.close();
  }
  await driver.close();
}
await server.stop();
console.log(`pictures are in ${out}`);
process.exit(0);
