// What the page joins, without a browser.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { changedBits, choice, moduleAt, parameters, place, sharedFrom, standing, watching } from '../places.js';
import { finding, guestLine } from '../finding.js';
import { listedRaces, matching } from '../racelist.js';
import { around, finds, lineOf } from '../loglines.js';
import { strip } from '../strip.js';
import { summaryMarkdown, summaryText } from '../report.js';

const frame = (symbol, offset = 1, more = {}) => ({ address: '0x10', module: '', symbol, offset, size: 16, ...more });

describe('places', () => {
  test('an address lies in the module that holds it, and in none behind its end', () => {
    const s = { windows: { modules: [{ name: 'b', base: '0xfffff80000002000', size: 0x1000 }, { name: 'a', base: '0xfffff80000000000', size: 0x1000 }] } };
    assert.equal(moduleAt(s, '0xfffff80000000000'), 1);
    assert.equal(moduleAt(s, '0xfffff80000000fff'), 1);
    assert.equal(moduleAt(s, '0xfffff80000001000'), -1);
    assert.equal(moduleAt(s, '0xfffff80000002abc'), 0);
    for (const none of ['', '0x1', 'rip', '0xffffffffffffffff']) assert.equal(moduleAt(s, none), -1, none);
  });

  test('as each system’s debugger writes them', () => {
    assert.equal(place(frame('KiTimer', 18, { module: 'nt' }), 'windows'), 'nt!KiTimer+0x12');
    assert.equal(place(frame('', 18, { module: 'nt' }), 'windows'), 'nt+0x12');
    assert.equal(place(frame(''), 'windows'), '0x10');
    assert.equal(place(frame('f', 18, { module: 'm' })), 'f+0x12/0x10 [m]');
  });

  test('the words of a value, of the meanings that list such', () => {
    const bits = 'access bits: 0 read, 1 write, bit 3 execute';
    assert.equal(choice(bits, '0x0'), 'read');
    assert.equal(choice(bits, '0x1'), 'write');
    assert.equal(choice(bits, '0x8'), '');
    for (const value of ['0x2', '0x8']) assert.equal(choice('0 read, 1 write, 2 or 8 execute', value), 'execute');
    assert.equal(choice('a pool entry, for most kinds', '0xa'), '');
    assert.deepEqual(parameters([{ value: '0x2', meaning: 'IRQL', at: '' }, { value: '0x5', meaning: '', at: '' }]), [{ meaning: 'IRQL', value: '2', at: '' }]);
  });

  test('a CPU stands in what called the sanitizer', () => {
    const stack = ['delay_tsc', '__udelay', 'kcsan_setup_watchpoint', '__tsan_read4', 'my_driver', 'kthread'].map((n) => frame(n));
    assert.equal(standing(stack).symbol, 'my_driver');
    assert.equal(watching(stack), 'watchpoint armed');
    assert.equal(watching(['print_report', 'kcsan_report_unknown_origin'].map((n) => frame(n))), 'reporting a race');
    assert.equal(watching([frame('my_driver')]), '');
    assert.equal(standing([frame('delay_tsc')]).symbol, 'delay_tsc');
    assert.equal(standing([]), null);
  });

  test('what two stacks share, and which digits changed', () => {
    const stack = (...names) => names.map((n) => frame(n));
    assert.equal(sharedFrom(stack('a', 'x', 'y'), stack('b', 'c', 'x', 'y')), 2);
    assert.equal(sharedFrom(stack('a'), stack('b')), 0);
    assert.deepEqual(changedBits('0x9814', '0x1c99'), { before: '9814', after: '1c99', changed: [true, true, true, true] });
    assert.deepEqual(changedBits('0xff', '0x100'), { before: '0ff', after: '100', changed: [true, true, true] });
    assert.deepEqual(changedBits('0x10', '0x11').changed, [false, true]);
  });
});

describe('the finding', () => {
  const windows = (more) => ({ file: { format: 'elf' }, guest: { os: 'windows', arch: 'x86-64', version: 'Windows 10', system_time: '2023-10-23T20:58:17.7Z', uptime_seconds: 65 }, memory: { bytes: 100, missing_bytes: 0 }, windows: { modules: [], bugcheck: null }, cpus: [], ...more });
  const linux = (more) => ({ file: { format: 'elf' }, guest: { os: 'linux' }, memory: {}, reports: [], linux: {}, ...more });
  const text = (s) => finding(s).text;

  test('of a bug check: its name, and the module that a parameter or the stack points to', () => {
    const bugcheck = { code: '0xd1', name: 'DRIVER_IRQL_NOT_LESS_OR_EQUAL', parameters: [{ value: '0x1', meaning: 'x', at: 'bad+0x1' }], stack: [] };
    assert.equal(text(windows({ windows: { bugcheck } })), 'DRIVER_IRQL_NOT_LESS_OR_EQUAL (0xD1) in bad+0x1');
    const cpus = [{ index: 0, opens: true, stack: [frame('KeBugCheckEx', 0, { module: 'nt' }), frame('', 5, { module: 'mine' })] }];
    assert.equal(text(windows({ windows: { bugcheck: { code: '0x1234', name: '', parameters: [] } }, cpus })), 'Bug check 0x1234 in mine+0x5');
    assert.equal(text(windows({ windows: { bugcheck: { code: '0x1234', name: '', parameters: [] } } })), 'Bug check 0x1234');
  });

  test('alive, cut off, nothing known', () => {
    assert.equal(text(windows({ cpus: [{ mode: 'kernel' }, { mode: 'user' }] })), 'Alive: no bug check; 1 of 2 processors in the kernel');
    assert.equal(text(windows({ memory: { bytes: 8600000, missing_bytes: 3400000 } })), 'Cut off: 3.4 MB of 12 MB missing');
    assert.equal(text({ file: { format: 'elf' }, guest: { os: 'unknown' }, memory: {} }), 'No system that is known was found in this core');
  });

  test('of races: those that the console never saw', () => {
    const report = (state, count = 1) => ({ state, count, title: state });
    assert.equal(text(linux({ reports: [report('printed', 44), report('in-flight')] })), '1 race the console never saw');
    assert.equal(text(linux({ reports: [report('suppressed'), report('pending')] })), '2 races the console never saw');
    assert.equal(text(linux({ reports: [report('printed', 3)], linux: { panic: 'Fatal exception' } })), 'Kernel panic: Fatal exception');
    assert.equal(text(linux({ file: { format: 'log' }, reports: [report('printed', 3)] })), '3 races printed');
    assert.equal(text(linux({ file: { format: 'log' } })), 'No data race in this log');
    assert.deepEqual(listedRaces(linux({ reports: ['residue', 'printed', 'pending', 'in-flight'].map((s) => report(s)), fragments: [{ title: '', reason: 'r', text: 't', count: 1 }] })).map((r) => r.state), ['in-flight', 'pending', 'printed', 'residue', 'not whole']);
  });

  test('filters', () => {
    const all = listedRaces(linux({ reports: [{ state: 'printed', title: 'data-race in A / b', grade: 'retyped' }, { state: 'in-flight', title: 'data-race in c', grade: 'whole' }] }));
    assert.deepEqual(matching(all, { find: ' a / ' }).map((r) => r.title), ['data-race in A / b']);
    assert.deepEqual(matching(all, { state: 'in-flight' }).map((r) => r.index), [0]);
    assert.deepEqual(matching(all, { grade: 'retyped' }).map((r) => r.index), [1]);
  });

  test('the second line, and the summary for a ticket', () => {
    assert.equal(guestLine(windows({})), 'Windows 10 · x86-64 · stopped 2023-10-23 20:58:17 UTC · up 1 min 5 s');
    const summary = windows({ file: { name: '<b>|`x`', size: 1, format: 'elf' }, symbols: {}, reports: [], warnings: [{ code: 'c', text: 'w' }], cpus: [{ index: 0, mode: 'kernel', stack: [frame('f', 1, { module: 'nt' })] }] });
    delete summary.windows.bugcheck;
    assert.match(summaryText({ summary }), /^Alive[^]*warning: w \[c\]\n\nCPU 0\n {2}nt!f\+0x1\n\nFile: /);
    assert.match(summaryMarkdown({ summary }), /^## Alive[^]*\n\| File \| \\<b\\>\\\|\\`x\\`, 1 bytes \|\n/);
  });
});

test('a log: found lines, neighbours, the line of a report', () => {
  const log = ['[    1.000000] boot', '[    2.000001] BUG: KCSAN: data-race in a / b', '[    3.500000] BUG: KCSAN: data-race in a / b', 'KCSAN'].join('\n') + '\n';
  assert.deepEqual(finds(log, 'kcsan'), { all: 4, count: 3, lines: [{ at: 1, text: log.split('\n')[1] }, { at: 2, text: log.split('\n')[2] }, { at: 3, text: 'KCSAN' }] });
  assert.equal(lineOf(log, 'data-race in a / b', 3.500000499), 2);
  assert.equal(lineOf(log, 'data-race in a / b', null), 1);
  assert.equal(lineOf(log, 'data-race in none', 9), -1);
  const { before, line, after } = around(log, 1);
  assert.deepEqual([before, line, after.split('\n').length], ['[    1.000000] boot\n', `${log.split('\n')[1]}\n`, 4]);
});

describe('the strip of memory', () => {
  const runs = (...list) => list.map(([start, bytes]) => ({ start: `0x${start.toString(16)}`, bytes, file_offset: null }));

  test('a run beside a hole of 4 GB can be seen, and an address finds its place', () => {
    const { segments, place } = strip(runs([0, 64 << 20], [0xfffc0000, 0x40000]));
    assert.deepEqual(segments.map((g) => g.hole), [false, true, false]);
    for (const g of segments) assert.ok(g.width >= 30, `${g.width}`);
    assert.ok(Math.abs(segments.reduce((n, g) => n + g.width, 0) - 1000) < 1);
    assert.equal(place('0x80000000'), null, 'a hole');
    assert.equal(place('0xfffc1000').segment, 2);
    assert.equal(place('nothing'), null);
  });

  test('65,536 runs are as many pieces as can be told apart, and none is lost', () => {
    const { segments, place } = strip(runs(...Array.from({ length: 65536 }, (_, i) => [i * 8192, 4096])));
    assert.ok(segments.length <= 32, `${segments.length}`);
    assert.equal(segments.reduce((n, g) => n + g.runs, 0), 65536);
    assert.equal(segments.reduce((n, g) => n + g.held, 0), 65536 * 4096);
    assert.ok(place('0x2000'));
  });
});
