// The folder that make site lays, on a static host, below a path: the demo from drop
// to dump, and every link of the documents. .ci/release-test runs it.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { byCommandLine, demo, root, sha256 } from './lib/files.js';
import { staticHost } from './lib/servers.js';
import { launch } from './lib/browsers.js';

const host = await staticHost('/some/where/');
host.dist = join(root, 'build/site');
const driver = await launch(process.argv[2] || 'chromium');
try {
  const view = await driver.visit(host.url);
  await view.pick(demo().core);
  await view.converted();
  assert.equal(await sha256(await view.save()), await byCommandLine(demo().core, '-symbols', 'none'));
  await view.click('#close');
  await view.press('#sample-crash');
  await view.converted();
  assert.deepEqual(view.foreign(), []);
  assert.deepEqual(view.errors, []);
  // A link that leads nowhere is one whose answer is no success, or whose anchor is
  // not in what answers.
  const pages = readdirSync(join(host.dist, 'docs')).filter((n) => n.endsWith('.html'));
  const dead = await view.page.evaluate(async (names) => {
    const found = [], read = new Map();
    const get = async (url) => {
      if (!read.has(url)) {
        const answer = await fetch(url);
        read.set(url, answer.ok && new DOMParser().parseFromString(/html/.test(answer.headers.get('content-type')) ? await answer.text() : '', 'text/html'));
      }
      return read.get(url);
    };
    for (const name of names) {
      const base = new URL(`docs/${name}`, document.baseURI), page = await get(base.href);
      for (const e of page.querySelectorAll('[href], [src]')) {
        const to = new URL(e.getAttribute('href') ?? e.getAttribute('src'), base), id = decodeURIComponent(to.hash.slice(1));
        if (to.origin !== location.origin) continue;
        to.hash = '';
        const target = await get(to.href);
        if (!target || id && to.pathname.endsWith('.html') && !target.getElementById(id)) found.push(`${name}: ${e.outerHTML.slice(0, 90)}`);
      }
    }
    return found;
  }, pages);
  assert.deepEqual(dead, []);
  console.log(`the site works: ${pages.length} documents`);
} finally {
  await driver.close();
  host.stop();
}
process.exit(0);
