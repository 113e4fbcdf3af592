// How long the page's thread is held up at most, with much to show: part of npm run
// bench. Chromium only, which has an observer for it: it tells of tasks of 50 ms and
// more, so that 0 is fewer.
import { coredrop } from './lib/servers.js';
import { launch } from './lib/browsers.js';
import { draw } from './lib/gallery.js';
import { apart } from '../pieces.js';

const hex = (n) => `0x${n.toString(16)}`;
const BASE = 0xfffff80000000000n;
const frame = (i, j) => ({ address: hex(BASE + BigInt(i % 300) * 0x100000n + BigInt(j * 64 + i)), sp: '', module: `mod${i % 300}`, symbol: `Function${(i * 7 + j) % 999}`, offset: j, size: 256, file: '', line: 0, inline: false, from: 'pdb', kind: 'return', guessed: false, note: '' });
const stack = (i, n = 12) => Array.from({ length: n }, (_, j) => frame(i + j, j));
const many = (n, f) => Array.from({ length: n }, (_, i) => f(i));

const windows = {
  schema: 1, file: { name: 'large.elf', size: 2 ** 36, format: 'elf', writer: 'QEMU', names_percent: 100 }, guest: { os: 'windows', arch: 'x86-64', build: 19041, version: 'Windows 10', product: 'server', system_time: '', uptime_seconds: 99 },
  convert: { possible: true, needs: [], types: [] }, symbols: { status: 'none-needed', key: 'k.pdb/1/k.pdb', url: '', from: null },
  memory: { bytes: 65536 * 4096, missing_bytes: 0, runs: many(65536, (i) => ({ start: hex(i * 8192), bytes: 4096, file_offset: i * 4096 })), marks: many(24, (i) => ({ what: 'kernel image', pa: hex(i * 8192), bytes: 4096 })) },
  cpus: many(64, (i) => ({ index: i, processor: i, mode: 'kernel', pc: hex(BASE), sp: '0x1', root: '0x1000', registers: many(32, (r) => ({ name: `r${r}`, value: hex(r) })), process: { pid: 4, name: 'System', dtb: '0x1000' }, kpcr: '0x1', context: '', registers_from: 'record', opens: i === 2, why: 'saved', stack: stack(i), stack_end: '', live_stack: [], live_stack_end: '' })),
  threads: many(2000, (i) => ({ process: { pid: i % 200, name: `p${i % 200}.exe`, dtb: '' }, tid: i, address: hex(i), state: i % 3 ? 'waiting' : 'ready', processor: null, stack: stack(i), stack_end: '' })),
  windows: { kernel_base: hex(BASE), dtb: '0x1000', dtb_from: { way: 'cr3', cpu: 0 }, pdb: { name: 'k.pdb', guid: 'g', age: 1, key: 'k' }, kdbg: null, bugcheck: { code: '0xd1', name: 'DRIVER_IRQL_NOT_LESS_OR_EQUAL', url: '', parameters: [], stack: [], stack_end: '' }, opens: null,
    modules: many(300, (i) => ({ name: `mod${i}.sys`, base: hex(BASE + BigInt(i) * 0x100000n), size: 0x80000 })), processes: many(200, (i) => ({ pid: i, name: `p${i}.exe`, dtb: hex(4096 * i) })), transition_pages: 0, first_aid: [] },
  reports: [], fragments: [], warnings: [],
};
const access = (i, kind) => ({ kind, marked: false, scoped: false, assert: false, reordered: false, address: hex(BASE), size: 8, by: 'task', pid: i, cpu: i % 4, stack: stack(i, 16) });
const linux = {
  ...windows, guest: { ...windows.guest, os: 'linux', version: '6.1.0' }, threads: [], windows: undefined, memory: { ...windows.memory, runs: windows.memory.runs.slice(0, 2) },
  linux: { release: '6.1.0', banner: '', kaslr_offset: '', phys_base: '', panic: '', troubles: [], debug: [], kcsan: { printed: 155, in_flight: 0, pending: 0, suppressed: 0, residue: 0 } },
  reports: many(155, (i) => ({ state: 'printed', grade: 'whole', differences: [], title: `data-race in f${i} / g${i}`, syzkaller_title: '', label: `printed at ${i}`, text: 'a line of a report\n'.repeat(40), count: 1, times: [i / 3], accesses: [access(i, 'read'), access(i + 1, 'write')], value: { old: '0x1', new: '0x2', mask: '' }, sources: ['log'], rule: '', unknown: [] })),
};

const server = await coredrop(['serve', '-addr', '127.0.0.1:0', '-upstream', 'none']), driver = await launch('chromium');

// longest gives the longest task while something is done, in milliseconds; 0 is below
// the 50 that the observer tells of.
async function longest(view, what) {
  await view.page.evaluate(() => {
    globalThis.tasks = [];
    globalThis.observer?.disconnect();
    globalThis.observer = new PerformanceObserver((list) => { globalThis.tasks.push(...list.getEntries().map((e) => e.duration)); });
    globalThis.observer.observe({ type: 'longtask' });
  });
  await what();
  await new Promise((next) => setTimeout(next, 500));
  return view.page.evaluate(() => Math.max(0, ...globalThis.tasks));
}

const set = (view, id, value) => view.page.$eval(id, (e, value) => { setTimeout(() => { e.value = value; e.dispatchEvent(new Event('input', { bubbles: true })); }); }, value);
for (const [name, summary, steps] of [
  ['Windows: 2,000 threads, 300 modules, 200 processes, 65,536 runs', windows, [['modules', (v) => set(v, '#modules-find', 'mod1')], ['threads', (v) => set(v, '#threads-find', 'p1')], ['more threads', (v) => v.page.$eval('#threads-more', (e) => { setTimeout(() => e.click()); })], ['a run', (v) => v.page.$eval('#segment-3', (e) => { setTimeout(() => e.dispatchEvent(new Event('click', { bubbles: true }))); })]]],
  ['Linux: 155 reports', linux, [['a report', (v) => v.page.$eval('#race-77', (e) => { setTimeout(() => e.click()); })], ['filter', (v) => set(v, '#races-filter', 'f1')], ['no filter', (v) => set(v, '#races-filter', '')]]],
]) {
  const view = await driver.visit(server.url);
  await draw(view, { file: { name: 'x', size: 1, format: 'elf' }, guest: { os: 'unknown' }, memory: { bytes: 0, runs: [] }, convert: { needs: [] }, symbols: {}, warnings: [], reports: [], cpus: [] });
  const json = JSON.stringify(summary);
  await view.page.evaluate((answer) => { globalThis.answer = answer; }, { json, pieces: apart(json) });
  const read = await longest(view, () => view.page.evaluate(async () => {
    const { together } = await import(new URL(`app/${globalThis.coredropBoot.build.hash}/web/pieces.js`, document.baseURI)), { json, pieces } = globalThis.answer;
    const pause = () => new Promise((next) => { setTimeout(next); });
    await pause();
    globalThis.parsed = pieces ? await together(pieces, pause) : JSON.parse(json);
  }));
  console.log(`${name}: JSON of ${(json.length / 1e6).toFixed(1)} MB read in tasks of ${read.toFixed(0)} ms at most`);
  const show = () => view.page.evaluate(() => { setTimeout(() => globalThis.galleryStore.dispatch({ type: 'opened', session: { id: 2, name: 'large.elf', size: 1, pasted: false, summary: globalThis.parsed, json: '', options: { compat: false, type: '', registers: '' }, dump: null, log: '', stacks: true, changed: false } })); });
  console.log(`  shown: longest task ${(await longest(view, show)).toFixed(0)} ms`);
  for (const [step, act] of steps) console.log(`  ${step}: ${(await longest(view, () => act(view))).toFixed(0)} ms`);
  await view.page.close();
}
await driver.close();
await server.stop();
process.exit(0);
