// The first seconds: files that come before the program is there, a build laid
// over another, and every way in which the program cannot start.
import { after, afterEach, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { byCommandLine, demo, folder, sha256, work } from './lib/files.js';
import { dist, staticHost } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';

const build = () => JSON.parse(readFileSync(join(dist, 'version.json'), 'utf8'));
const phase = (view) => view.page.evaluate(() => document.documentElement.dataset.phase);
const why = async (view) => (await view.text('#starting')).replace(/\s+/g, ' ');

// another gives the built page as another build of it: one export has another
// name, so that halves of the two could not work together.
function another() {
  const to = join(work, 'another'), { hash } = build(), newer = hash.split('').reverse().join('');
  if (existsSync(to)) return to;
  cpSync(dist, to, { recursive: true });
  renameSync(join(to, 'app', hash), join(to, 'app', newer));
  for (const name of ['index.html', 'sw.js', 'version.json']) writeFileSync(join(to, name), readFileSync(join(to, name), 'utf8').replaceAll(hash, newer));
  for (const name of ['view.js', 'frame/result.js']) {
    const file = join(to, 'app', newer, 'web', name);
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('headline', 'headlineOfTheNewer'));
  }
  const sw = join(to, 'sw.js'), [first, ...rest] = readFileSync(sw, 'utf8').split('\n');
  const kept = JSON.parse(first.replace(/^const build = |;$/g, ''));
  for (const name of ['view.js', 'frame/result.js']) kept.files[`app/${newer}/web/${name}`] = sum(join(to, 'app', newer, 'web', name));
  writeFileSync(sw, [`const build = ${JSON.stringify(kept)};`, ...rest].join('\n'));
  const index = join(to, 'index.html');
  writeFileSync(index, readFileSync(index, 'utf8').replace('<h1>Coredrop</h1>', '<h1>Coredrop B</h1>'));
  return to;
}

const sum = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

for (const kind of kinds) {
  describe(`the first seconds in ${kind}`, () => {
    let driver;
    before(async () => { driver = await launch(kind); });
    after(() => driver?.close());
    const hosts = [];
    const host = async (...args) => {
      const h = await staticHost(...args);
      hosts.push(h);
      return h;
    };
    afterEach(async () => {
      for (const h of hosts.splice(0)) h.stop();
      for (const page of (await driver.browser.pages()).slice(1)) await page.close();
    });

    // stalled gives a host that answers nothing but index.html until it is let go.
    async function stalled() {
      let go;
      const let_go = new Promise((resolve) => { go = resolve; });
      const held = [];
      const all = Object.fromEntries(build().files.map((name) => [name, async (response, content, type) => {
        held.push(name);
        await let_go;
        response.writeHead(200, { 'Content-Type': type });
        response.end(content());
      }]));
      return { ...await host('/', all), go, held };
    }

    for (const how of ['drop', 'pick']) {
      test(`a ${how} at once, with every other file stalled, waits and is opened`, async () => {
        const slow = await stalled(), { core } = demo();
        const view = await driver.visit(slow.url, { wait: false });
        assert.equal(await phase(view), 'loading');
        assert.match(await why(view), /program is on its way/);
        await view[how](core);
        await view.page.waitForFunction(() => document.getElementById('starting-text').textContent.includes('demo.elf is opened as soon as the program is here'));
        assert.equal((await driver.browser.pages()).length, 2, 'the browser did not open the file itself');
        slow.go();
        await view.settled();
        await view.converted();
        assert.equal(await view.text('#opened-name'), 'Windows guest: demo.elf');
        assert.ok(await view.hidden('#starting'));
        assert.deepEqual(view.errors, []);
      });
    }

    test('keys at once: the browser’s own open and save do not come up; the program gets them', async () => {
      const slow = await stalled(), view = await driver.visit(slow.url, { wait: false });
      const prevented = await view.page.evaluate(() => ['o', 's'].map((key) => {
        const event = new KeyboardEvent('keydown', { key, ctrlKey: true, cancelable: true, bubbles: true });
        document.body.dispatchEvent(event);
        return event.defaultPrevented;
      }));
      assert.deepEqual(prevented, [true, true]);
      slow.go();
      await view.page.waitForFunction(() => document.documentElement.dataset.phase === 'empty');
      assert.match(await view.text('[data-notice=bar]'), /^Save the dump: not now/);
    });

    test('bytes are shown while the program loads', async () => {
      const wasm = readFileSync(join(dist, 'app', build().hash, 'coredrop.wasm'));
      let rest;
      const slow = await host('/', { 'coredrop.wasm': (response) => {
        response.writeHead(200, { 'Content-Type': 'application/wasm' });
        response.write(wasm.subarray(0, 3000000));
        rest = () => response.end(wasm.subarray(3000000));
      } });
      const view = await driver.visit(slow.url, { wait: false });
      await view.page.waitForFunction(() => /^Loading the program: (2\.\d|3\.0) MB of \d/.test(document.getElementById('starting-text').textContent));
      rest();
      await view.ready();
      assert.ok(await view.hidden('#starting'));
    });

    test('all that the start needs is asked for before any of it has arrived', async () => {
      const { files } = build(), { hash } = build(), asked = new Set();
      // Modules come one after another on few connections: each is answered as
      // soon as it is asked for, but with nothing in it that names another.
      const seen = await host('/', Object.fromEntries(files.map((name) => [name, (response, content, type) => {
        asked.add(name);
        response.writeHead(200, { 'Content-Type': type });
        response.end(name.endsWith('.js') ? 'export {};' : content());
      }])));
      const view = await driver.visit(seen.url, { wait: false });
      // The style stands in the page; its file is for hosts that refuse that.
      const needed = files.filter((name) => !/\.(css|svg)$|^samples\/|^coredrop-whole\./.test(name)); // the samples and the whole program come on request
      for (let i = 0; i < 200 && needed.some((name) => !asked.has(name)); i++) await new Promise((next) => setTimeout(next, 50));
      assert.deepEqual(needed.filter((name) => !asked.has(name)), [], `of app/${hash}`);
      await view.page.close();
    });

    describe('build B over A', () => {
      // visitedA gives a page of A that the browser has kept whole, and its host,
      // which is about to give B.
      async function visitedA(answers = {}) {
        const h = await host('/', answers), view = await driver.visit(h.url);
        await view.page.waitForFunction(async (hash) => navigator.serviceWorker.controller && (await caches.keys()).includes(`coredrop-${hash}`), {}, build().hash);
        return { h, view };
      }

      const broken = {
        'cut off': (response, content, type) => {
          const data = content();
          response.writeHead(200, { 'Content-Type': type, 'Content-Length': data.length });
          response.write(data.subarray(0, data.length >> 1));
          setTimeout(() => response.destroy(), 50);
        },
        'answered with 500': (response) => {
          response.writeHead(500, { 'Content-Type': 'text/plain' });
          response.end('broken');
        },
      };

      // B's own worker would keep B as soon as a file is spoilt that it does without for
      // the time, and give the next one itself: it stays A's.
      const workerOfA = readFileSync(join(dist, 'sw.js'));

      // Those that nothing works without are spoilt in each browser, of the others each in
      // one of them: they are named by the same few lines.
      const turns = () => {
        const vital = /main|session|coredrop\.wasm$|worker/;
        return build().files.filter((name, i) => vital.test(name) || kinds.length < 2 || i % kinds.length === kinds.indexOf(kind)).map((name) => ({ name, vital: vital.test(name) }));
      };

      test('with each file in turn cut off or answered with 500: the page works, or says why; never half of each', async () => {
        const answers = {}, { h, view } = await visitedA(answers), ways = Object.values(broken);
        h.dist = another();
        for (const [i, { name, vital }] of turns().entries()) {
          for (const other of Object.keys(answers)) delete answers[other];
          answers['sw.js'] = workerOfA;
          answers[name] = ways[i % ways.length];
          await view.page.goto(`${h.url}?${encodeURIComponent(name)}`, { waitUntil: 'domcontentloaded' });
          await view.page.waitForFunction((query) => location.search === query && ['empty', 'stopped'].includes(document.documentElement.dataset.phase), {}, `?${encodeURIComponent(name)}`);
          const is = await phase(view);
          if (is === 'stopped') {
            const text = await why(view);
            assert.match(text, /could not start: /, name);
            assert.ok(text.includes(name.split('/').at(-1)), `${name}: ${text}`);
            assert.match(text, /Use the version that this browser keeps/, name);
          } else {
            assert.equal(await view.text('h1'), 'Coredrop B', name);
          }
          if (vital) assert.equal(is, 'stopped', name);
        }
        // The one that is kept works, and so does B once it is whole.
        await view.page.goto(`${h.url}?kept=1`);
        await view.ready();
        assert.equal(await view.text('h1'), 'Coredrop');
        for (const other of Object.keys(answers)) delete answers[other];
        await view.page.goto(h.url);
        await view.ready();
        assert.equal(await view.text('h1'), 'Coredrop B');
        await view.pick(demo().core);
        await view.settled();
        await view.converted();
      });

      test('with files delayed for longer than the worker waits: B, whole', async () => {
        const answers = { 'sw.js': workerOfA }, { h, view } = await visitedA(answers);
        h.dist = another();
        // One that everything needs, one of the template library, one of the worker,
        // the program itself; each would come from A by the old rule.
        for (const name of ['web/view.js', 'lit-html/directive.js', 'web/stream.js', 'coredrop.wasm']) {
          answers[name] = (response, content, type) => setTimeout(() => {
            response.writeHead(200, { 'Content-Type': type });
            response.end(content());
          }, 4500);
        }
        await view.page.goto(h.url, { waitUntil: 'domcontentloaded' });
        await view.ready();
        assert.equal(await view.text('h1'), 'Coredrop B');
        for (const name of ['web/view.js', 'lit-html/directive.js', 'web/stream.js', 'coredrop.wasm']) {
          assert.ok(h.requests.some((path) => path.endsWith(`/${name}`) && !path.includes(build().hash)), `${name} of B was asked for`);
        }
      });

      test('a page of A that is open hears of B, and still has all of A', async () => {
        const { h, view } = await visitedA();
        h.dist = another();
        await view.page.evaluate(() => navigator.serviceWorker.getRegistration().then((r) => r.update()));
        await view.visible('#newer');
        const status = await view.page.evaluate((hash) => fetch(`app/${hash}/web/worker.js`).then((r) => r.status), build().hash);
        assert.equal(status, 200, 'though the host has it no more');
        await view.click('#newer button');
        await view.page.waitForFunction(() => document.querySelector('h1')?.textContent === 'Coredrop B' && document.documentElement.dataset.phase === 'empty');
      });

      test('a build that does not arrive whole is not kept', async () => {
        const answers = {}, { h, view } = await visitedA(answers);
        h.dist = another();
        answers['web/view.js'] = broken['cut off'];
        await view.page.evaluate(() => navigator.serviceWorker.getRegistration().then((r) => r.update()).catch(() => {}));
        await view.page.waitForFunction(async () => {
          const { installing } = await navigator.serviceWorker.getRegistration();
          return !installing;
        });
        assert.deepEqual(await view.page.evaluate(() => caches.keys()), [`coredrop-${build().hash}`]);
        h.stop();
        await view.page.goto(h.url);
        await view.ready();
        assert.equal(await view.text('h1'), 'Coredrop');
      });
    });

    describe('never mute', () => {
      // stops visits and gives what the page says when it has given up.
      async function stops(url, options) {
        const view = await driver.visit(url, { wait: false, ...options });
        await view.page.waitForFunction(() => document.documentElement.dataset.phase === 'stopped');
        const text = await why(view);
        assert.ok(await view.isVisible('#starting'));
        assert.ok(await view.page.$$eval('#starting-todo li', (l) => l.length) > 0, 'what to do');
        return text;
      }
      const gone = (response) => { response.writeHead(404); response.end(); };
      const plain = (response, content) => { response.writeHead(200, { 'Content-Type': 'text/plain' }); response.end(content()); };

      for (const name of ['coredrop.wasm', 'web/main.js', 'web/panels/dump.js', 'web/worker.js', 'wasm_exec.js']) {
        test(`${name} is missing`, async () => {
          const text = await stops((await host('/', { [name]: gone })).url);
          assert.match(text, /could not start: the server answered 404 for /);
          assert.ok(text.includes(name.split('/').at(-1)), text);
        });
      }

      for (const name of ['web/session.js', 'coredrop.wasm', 'web/worker.js']) {
        test(`${name} is blocked`, async () => {
          const h = await host('/', { [name]: (response) => response.destroy() });
          const text = await stops(h.url);
          assert.ok(text.includes(name.split('/').at(-1)) && /could not be fetched|keeps it back/.test(text), text);
        });
      }

      test('scripts are served as text', async () => {
        const h = await host('/', Object.fromEntries(build().files.filter((n) => n.endsWith('.js')).map((n) => [n, plain])));
        assert.match(await stops(h.url), /as text\/plain, so the browser refuses it; it must be text\/javascript/);
      });

      test('the program is served as text: it works all the same', async () => {
        const view = await driver.visit((await host('/', { 'coredrop.wasm': plain })).url);
        assert.equal(await phase(view), 'empty');
      });

      for (const [what, policy, pattern] of [
        ['without wasm-unsafe-eval', "default-src 'self'; script-src 'self' 'unsafe-inline'", /forbids WebAssembly.*wasm-unsafe-eval/],
        ['without wasm-unsafe-eval, and no script in the page', "default-src 'self'; script-src 'self'", /forbids WebAssembly.*wasm-unsafe-eval/],
        ['without worker-src', "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; connect-src 'self'; style-src 'self'; worker-src 'none'", /forbids its worker.*worker-src/],
      ]) {
        test(`a policy ${what}`, async () => {
          assert.match(await stops((await host('/', {}, { 'Content-Security-Policy': policy })).url), pattern);
        });
      }

      test('a policy that refuses the script in the page, and nothing else: it works', async () => {
        const view = await driver.visit((await host('/', {}, { 'Content-Security-Policy': "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" })).url);
        await view.page.waitForFunction(() => getComputedStyle(document.documentElement).getPropertyValue('--ground') !== '');
        await view.pick(demo().core);
        await view.settled();
        await view.converted();
      });

      test('WebAssembly is off; the browser is too old', async () => {
        const h = await host('/');
        assert.match(await stops(h.url, { before: () => { delete globalThis.WebAssembly; } }), /WebAssembly is switched off in this browser/);
        assert.match(await stops(h.url, { before: () => { delete globalThis.BroadcastChannel; } }), /too old.*2022/);
      });

      test('opened as a file', async () => {
        assert.match(await stops(pathToFileURL(join(dist, 'index.html')).href), /Opened as a file.*coredrop serve/);
      });

      test('the source instead of the built page', async () => {
        const dir = folder('source');
        cpSync(join(import.meta.dirname, '../../index.html'), join(dir, 'index.html'));
        mkdirSync(join(dir, 'web'), { recursive: true });
        for (const name of ['boot.js', 'style.css', 'icon.svg']) cpSync(join(import.meta.dirname, '..', name), join(dir, 'web', name));
        const h = await host('/');
        h.dist = dir;
        assert.match(await stops(h.url), /no built page.*make build/);
      });

      test('JavaScript is off', { skip: kind === 'chromium' ? false : 'only Chromium’s driver switches it off' }, async () => {
        const page = await driver.browser.newPage();
        await page.setJavaScriptEnabled(false);
        await page.goto((await host('/')).url);
        const text = await page.$eval('noscript', (e) => e.textContent).catch(() => '');
        assert.match(text, /JavaScript is switched off/);
      });

      test('a drag that ends out of sight leaves no overlay: a pointer that moves, Escape, a leave', async () => {
        const view = await driver.visit((await host('/')).url);
        const drag = (type, relatedTarget) => view.page.evaluate((type, to) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(['x'], 'x'));
          document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer, relatedTarget: to ? document.body : null }));
        }, type, relatedTarget);
        const over = () => view.page.$eval('#overlay', (e) => !e.hidden);
        for (const end of [
          () => view.page.mouse.move(50, 50),
          () => view.page.keyboard.press('Escape'),
          () => drag('dragleave', false),
        ]) {
          await drag('dragenter', true);
          await drag('dragenter', true); // an element that is replaced meanwhile sends no leave
          await drag('dragleave', true);
          assert.equal(await over(), true);
          await end();
          assert.equal(await over(), false);
        }
      });

      test('?offline=1 promises no network, and keeps it', async () => {
        const h = await host('/'), view = await driver.visit(`${h.url}?offline=1`);
        assert.match(await view.text('#privacy'), /Nothing at all is asked of the network/);
        assert.doesNotMatch(await view.text('#privacy'), /PDB/);
        const before = h.requests.length;
        await view.pick(demo().core);
        await view.settled();
        await view.converted();
        await view.click('#symbols-more');
        assert.ok(await view.hidden('#symbols-get'));
        assert.equal(await sha256(await view.save()), await byCommandLine(demo().core, '-symbols', 'none'));
        assert.deepEqual(h.requests.slice(before), []);
      });
    });
  });
}
