// Pictures of each state of the page, light and dark, wide and 320 pixels, to
// build/screenshots: make screenshots. They are there to be looked at.
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

for (const dark of [false, true]) {
  const driver = await launch('chromium', { dark });
  for (const width of [1100, 320]) {
    const view = await driver.visit(server.url);
    await view.page.setViewport({ width, height: 800 });
    const shot = (state) => view.page.screenshot({ path: join(out, `${state}-${dark ? 'dark' : 'light'}-${width}.png`), fullPage: true });
    await shot('start');
    await view.page.evaluate(() => { document.getElementById('overlay').hidden = false; });
    await shot('drop');
    await view.page.evaluate(() => { document.getElementById('overlay').hidden = true; });
    await view.pick(text);
    await view.visible('#failure');
    await shot('failure');
    await view.pick(demo().core);
    await view.visible('#result');
    await shot('inspected');
    await view.convert();
    await view.click('#hash');
    await view.page.waitForFunction(() => document.getElementById('hash-value').textContent !== '');
    await view.page.evaluate(() => { document.getElementById('status').className = 'heard'; }); // as it is ten seconds later
    await shot('converted');
    await view.page.evaluate(() => { // the state between, held still
      document.getElementById('work').hidden = false;
      document.getElementById('bar').max = 100;
      document.getElementById('bar').value = 42;
      document.getElementById('work-title').textContent = 'Converting';
      document.getElementById('counts').textContent = 'preparing the dump: 2.1 GB of 4.8 GB, 390 MB per second, 7 s left';
    });
    await shot('working');
    await view.page.evaluate(() => document.getElementById('hash').scrollIntoView({ block: 'center' }));
    await view.page.screenshot({ path: join(out, `in-sight-${dark ? 'dark' : 'light'}-${width}.png`) });
    if (hasCorpus) {
      await view.page.reload();
      await view.page.waitForSelector('html[data-ready]');
      await view.pick(unpack('kcsan/a-inflight-signal'));
      await view.visible('#races');
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
