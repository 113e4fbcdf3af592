// Ratios of one run, per browser: npm run bench. Absolute times are this
// machine's; ratios are what the page promises.
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byCommandLine, demo, folder, hasCorpus, sha256, unpack, work } from './lib/files.js';
import { coredrop, dist } from './lib/servers.js';
import { kinds, launch } from './lib/browsers.js';
import { instrumented, counts } from './lib/instrument.js';
import { enlarge } from './lib/large.js';

const GiB = 2 ** 30, MiB = 1 << 20;
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const say = (text) => console.log(text);

const cores = { '64 MB': 64 * MiB, '4.8 GB': 4.8 * GiB, '64 GB': 64 * GiB };
for (const [name, bytes] of Object.entries(cores)) {
  const file = join(work, `${name.replace(' ', '')}.elf`);
  enlarge(demo().core, file, bytes);
  cores[name] = file;
}
const gigabyte = join(work, '1GB.elf');
enlarge(demo().core, gigabyte, GiB);

// An empty Go program, to know what of the start is ours.
const empty = folder('empty');
writeFileSync(join(empty, 'go.mod'), 'module empty\n\ngo 1.26\n');
writeFileSync(join(empty, 'main.go'), 'package main\n\nfunc main() {}\n');
execFileSync('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', 'empty.wasm', '.'], { cwd: empty, env: { ...process.env, GOOS: 'js', GOARCH: 'wasm' } });

// offer gives the milliseconds from the pick to the dump.
async function offer(driver, url, core) {
  const view = await driver.visit(url);
  const began = Date.now();
  await view.pick(core);
  await view.page.waitForSelector('#save');
  const time = Date.now() - began;
  await view.page.close();
  return time;
}

// whenSaved waits for a file of the size and gives the milliseconds it took.
async function whenSaved(dir, size, start) {
  for (const name of readdirSync(dir)) rmSync(join(dir, name));
  const began = Date.now();
  await start();
  for (;;) {
    const names = readdirSync(dir);
    if (names.length === 1 && !/\.(part|crdownload)$/.test(names[0]) && statSync(join(dir, names[0])).size === size) return { time: Date.now() - began, file: join(dir, names[0]) };
    if (Date.now() - began > 600000) throw new Error('the download did not end');
    await new Promise((next) => setTimeout(next, 10));
  }
}

const server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']);
for (const kind of kinds) {
  const driver = await launch(kind);
  const times = {};
  await offer(driver, server.url, cores['64 MB']); // warm
  for (let round = 0; round < 3; round++) {
    for (const [name, core] of Object.entries(cores)) (times[name] ??= []).push(await offer(driver, server.url, core));
  }
  const [small, middle, large] = Object.values(times).map(median);
  say(`${kind}: dump offered after ${small}, ${middle}, ${large} ms (64 MB, 4.8 GB, 64 GB): ratio ${(Math.max(small, middle, large) / Math.min(small, middle, large)).toFixed(2)}, at most 1.5`);

  // Saving the dump against saving the input itself through a one-slice Blob:
  // in turn and in either order, since the disk remembers what was written last.
  const view = await driver.visit(server.url);
  await view.pick(gigabyte);
  await view.settled();
  await view.converted();
  const size = await view.dumpBytes(), whole = statSync(gigabyte).size;
  await view.page.evaluate(() => {
    const pick = document.createElement('input');
    pick.type = 'file';
    pick.id = 'bench-file';
    document.body.append(pick);
  });
  await (await view.page.$('#bench-file')).uploadFile(gigabyte);
  const ways = [
    () => whenSaved(driver.downloads, size, () => view.page.evaluate(() => document.getElementById('save').click())),
    () => whenSaved(driver.downloads, whole, () => view.page.evaluate(() => {
      const file = document.getElementById('bench-file').files[0], link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([file.slice(0, file.size)]));
      link.download = 'input.dmp';
      link.click();
    })),
  ];
  const pairs = [];
  for (let round = -1; round < 12; round++) {
    const spent = [];
    for (const way of round % 2 ? [1, 0] : [0, 1]) spent[way] = (await ways[way]()).time;
    if (round >= 0) pairs.push(spent[1] / whole / (spent[0] / size)); // the first pair warms the disk
  }
  pairs.sort((a, b) => a - b);
  say(`${kind}: saving 1 GB, the input's time over the dump's, median of ${pairs.length} pairs: ${((pairs[5] + pairs[6]) / 2).toFixed(2)} (${pairs[0].toFixed(2)} to ${pairs[11].toFixed(2)}), at least 0.95`);
  await view.page.close();

  // Start of the program against an empty one, compiled and run the same way.
  const start = await driver.browser.newPage();
  await start.goto(server.url);
  const wasm = readFileSync(join(empty, 'empty.wasm')).toString('base64');
  const [mine, none] = await start.evaluate(async (base64) => {
    const app = `app/${globalThis.coredropBoot.build.hash}`;
    await import(new URL(`${app}/wasm_exec.js`, document.baseURI));
    const blank = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), full = new Uint8Array(await (await fetch(`${app}/coredrop.wasm`)).arrayBuffer());
    const time = async (bytes) => {
      const go = new Go(), began = performance.now();
      const { instance } = await WebAssembly.instantiate(bytes, go.importObject);
      go.run(instance);
      return performance.now() - began;
    };
    const list = [[], []];
    for (let i = 0; i < 5; i++) { list[0].push(await time(full)); list[1].push(await time(blank)); }
    return list.map((l) => l.sort((a, b) => a - b)[2]);
  }, wasm);
  say(`${kind}: start of the program ${mine.toFixed(0)} ms, of an empty one ${none.toFixed(0)} ms: ratio ${(mine / none).toFixed(2)}`);
  await start.close();

  if (hasCorpus) {
    const host = await instrumented(), core = unpack('05-hole3g'), big = await driver.visit(host.url);
    await big.page.evaluate(() => {
      globalThis.longTasks = [];
      if (PerformanceObserver.supportedEntryTypes.includes('longtask')) new PerformanceObserver((l) => globalThis.longTasks.push(...l.getEntries().map((e) => e.duration))).observe({ type: 'longtask' });
    });
    await big.pick(core);
    await big.settled();
    await big.converted();
    const seen = await counts(big), tasks = await big.page.evaluate(() => PerformanceObserver.supportedEntryTypes.includes('longtask') ? globalThis.longTasks : null);
    say(`${kind}: case 05 offered after reading ${(seen.bytes / MiB).toFixed(1)} MiB, wasm memory ${(seen.memory / MiB).toFixed(1)} MiB, tasks over 100 ms on the page: ${tasks ? tasks.filter((t) => t > 100).length : 'this browser does not tell'}`);
    const bytes = await big.dumpBytes(), saved = await whenSaved(driver.downloads, bytes, () => big.click('#save'));
    say(`${kind}: case 05 saved in ${(saved.time / 1000).toFixed(1)} s, SHA-256 ${await sha256(saved.file) === await byCommandLine(core, '-symbols', 'none') ? 'equals' : 'DIFFERS FROM'} the command line's`);
    host.stop();
  }
  await driver.close();
}
// A first visit asks for index.html, the worker that keeps the page, and each file
// that it keeps at once.
const { files } = JSON.parse(readFileSync(join(dist, 'sw.js'), 'utf8').split('\n')[0].replace(/^const build = |;$/g, ''));
const wire = ['index.html', 'sw.js', ...Object.keys(files)]
  .reduce((n, name) => n + Math.min(...['', '.br'].map((s) => statSync(join(dist, name + s), { throwIfNoEntry: false })?.size ?? Infinity)), 0);
say(`bytes over the wire, first visit: ${wire} (brotli)`);
await server.stop();
process.exit(0);
