// What the summary says, as terms and values. Nothing of a file reaches the
// page as HTML: everything is text.
import { size, duration, quote, fileWord, dumpName } from './format.js';
import { of } from './words.js';
import { blockedBy } from './verdict.js';
import { once } from './memo.js';

/** @typedef {import('./summary.js').Summary} Summary */

/**
 * facts lists [term, value] of a summary (the object `coredrop info -json` prints).
 * @param {Summary} s
 */
export function facts(s) {
  const list = /** @type {[string, string][]} */ ([]), add = (/** @type {string} */ term, /** @type {string | number | undefined} */ value) => { if (value || value === 0) list.push([term, String(value)]); };
  const guest = s.guest || {}, windows = s.windows, linux = s.linux;
  add('File', `${s.file.name}, ${size(s.file.size)}`);
  add('Format', of('formats', s.file.format));
  add('Machine', s.file.machine);
  add('Written with', (s.file.capabilities || []).join(', '));
  add('Guest', (linux ? [guest.version && `Linux ${guest.version}`, guest.arch] : [guest.version || (guest.os === 'windows' ? 'Windows' : ''), guest.build && !guest.version.includes(String(guest.build)) && `build ${guest.build}`, guest.product, guest.arch]).filter(Boolean).join(', '));
  add('Stopped at', (guest.system_time || '').replace(/^([\d-]+)T([\d:]+)(\.\d+)?Z$/, '$1 $2 UTC'));
  if (guest.uptime_seconds) add('Up for', duration(guest.uptime_seconds));
  if (s.memory && s.file.format !== 'log') add('Memory', memoryText(s.memory));
  const cpus = s.cpus || [];
  if (cpus.length) {
    const known = cpus.some((cpu) => cpu.mode), kernel = cpus.filter((cpu) => cpu.mode === 'kernel').map((cpu) => cpu.index);
    const elsewhere = ['hypervisor', 'vtl1', 'firmware', 'smm', 'reset'].map((mode) => /** @type {[string, number[]]} */ ([mode, cpus.filter((cpu) => cpu.mode === mode).map((cpu) => cpu.index)]))
      .filter(([, list]) => list.length).map(([mode, list]) => `; ${of('modes', mode)}: ${ranges(list)}`).join('');
    add('CPUs', `${cpus.length}${known ? `; in the kernel: ${ranges(kernel) || 'none'}${elsewhere}` : ''}`);
  }
  if (windows) {
    add('Bug check', windows.bugcheck ? `${[windows.bugcheck.code, windows.bugcheck.name].filter(Boolean).join(' ')} (${(windows.bugcheck.parameters || []).map((p) => p.value).join(', ')})` : 'none: the guest was alive');
    if (windows.opens) add('Registers', windows.opens.text);
    add('Kernel base', windows.kernel_base);
    add('Page tables', [windows.dtb, windows.dtb_from && `from ${of('dtb_from', windows.dtb_from.way, windows.dtb_from)}`].filter(Boolean).join(', '));
    if (windows.kdbg && windows.kdbg.va) add('Debugger block', `${windows.kdbg.va}, ${windows.kdbg.encoded ? 'encoded' : 'in clear'}, found ${of('found_by', windows.kdbg.found_by)}`);
    if (windows.pdb) add('PDB', `${windows.pdb.name} ${windows.pdb.guid} age ${windows.pdb.age}`);
    if (windows.modules) add('Modules', windows.modules.length);
    if (windows.processes) add('Processes', windows.processes.length);
  }
  if (linux) {
    add('Panic', linux.panic);
    if (!linux.panic) add('Oops', (linux.troubles || []).find((t) => t.kind === 'oops')?.text);
    add('Banner', linux.banner);
    add('KASLR offset', linux.kaslr_offset);
    if (linux.detail) add('Build ID', linux.detail.build_id);
    for (const d of linux.debug || []) add('Source lines', `${d.name}${d.module ? ` (${d.module})` : ''}, ${size(d.bytes_read)} read`);
  }
  return list;
}

// memoryText sums up the runs and the holes between them. The summary lists so
// many runs only, but counts the bytes of all.
const memoryText = once((/** @type {Summary['memory']} */ { bytes, runs = [] }) => {
  const number = (/** @type {number} */ n, /** @type {string} */ word) => `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`;
  const more = runs.reduce((sum, run) => sum + run.bytes, 0) < bytes ? 'more than ' : '';
  // Physical addresses have 52 bits: plain numbers hold them.
  let holes = 0, missing = 0, end = null;
  for (const run of runs) {
    const start = Number(run.start);
    if (end !== null && start > end) {
      holes++;
      missing += start - end;
    }
    end = start + run.bytes;
  }
  const between = holes ? `; ${more}${number(holes, 'hole')} of ${more}${size(missing)} between them` : '';
  return `${size(bytes)} in ${more}${number(runs.length, 'run')}${between}`;
});

// ranges writes ascending numbers: "0–3, 5".
/** @param {number[]} list */
function ranges(list) {
  const out = /** @type {[number, number][]} */ ([]);
  for (const n of list) {
    const last = out.at(-1);
    if (last && n === last[1] + 1) last[1] = n;
    else out.push([n, n]);
  }
  return out.map(([from, to]) => from === to ? from : `${from}–${to}`).join(', ');
}

// headline is the result's title.
/** @param {Summary} s */
export function headline(s) {
  const guest = s.guest || {};
  const os = s.file.format === 'log' ? 'Kernel log' : guest.os === 'windows' ? 'Windows guest' : guest.os === 'linux' ? 'Linux guest' : 'Core';
  return `${os}: ${s.file.name}`;
}

// dumpText says what was made.
/** @param {Summary} s */
export function dumpText(s) {
  const d = s.dump;
  if (!d) return '';
  return `A ${d.type} dump of ${size(d.bytes)}` + (d.verified ? ', read back and verified as a debugger reads it.' : '.');
}

// commandLine is the same job on the command line.
/**
 * @param {Summary} s
 * @param {import('./store.js').Session['options']} options
 */
export function commandLine(s, options) {
  const list = s.file.snapshots || [], opened = list.length > 1 && list.find((x) => x.opened), snapshot = opened ? ['-snapshot', quote(opened.name || opened.id)] : [];
  if (s.guest && s.guest.os === 'linux' || s.file.format === 'log') return ['coredrop', 'kcsan', ...snapshot, fileWord(s.file.name)].join(' ');
  const words = ['coredrop', 'convert'], path = symbolPath(s, options);
  if (options.compat) words.push('-compat', 'elf2dmp');
  if (options.type) words.push('-type', options.type);
  if (options.registers && !options.compat) words.push('-registers', options.registers);
  words.push(...snapshot);
  if (path) words.push('-symbols', quote(path));
  words.push(fileWord(s.file.name), fileWord(dumpName(s)));
  return words.join(' ');
}

// symbolPath leads the command line to the PDB that the page has. It is '' where
// only the command line's own path can: to the cache of a debugger, and to
// Microsoft. Elf2dmp's way fails without a PDB, so there it is never 'none'.
/**
 * @param {Summary} s
 * @param {import('./store.js').Session['options']} options
 */
function symbolPath(s, options) {
  const { status, from } = s.symbols || {};
  if (status !== 'found') return !options.compat && s.convert && s.convert.possible ? 'none' : '';
  const { kind, name } = from || { kind: '', name: '' };
  const file = kind === 'file' ? name : '';
  const place = file || (kind === 'server' ? new URL('symbols', document.baseURI).href : '');
  // A path is split at these, and a blank at its end is lost.
  if (!place || /[;*]|\s$/.test(place)) return '';
  // It asks servers by https only.
  if (!file) return place.startsWith('https:') ? `srv**${place}` : '';
  return /^([-\s\\]|none$)/.test(file) ? `./${file}` : file;
}

// windbgLines are the next steps, to paste. A page's server may have no more than
// a few PDBs: it comes behind Microsoft's, which has those of Windows; its path
// would swallow what stands behind it on its line. On the debugger's machine the
// name of a server on this machine means another.
/**
 * @param {URL} symbols
 * @param {boolean} hasServer
 */
export function windbgLines(symbols, hasServer) {
  if (!hasServer || loopback(symbols.hostname)) return ['.symfix C:\\symbols; .reload; !analyze -v'];
  return ['.symfix C:\\symbols', `.sympath+ srv*C:\\symbols*${symbols.href}`, '.reload; !analyze -v'];
}

/** @param {string} host */
function loopback(host) {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\]|0\.0\.0\.0)\.?$/i.test(host);
}

// hasRaces reports whether race reports are what this is about.
/** @param {Summary} s */
export function hasRaces(s) {
  return s.file.format === 'log' || Boolean(s.guest && s.guest.os === 'linux');
}

// verdict says what came of it, in one sentence.
/** @param {Pick<import('./store.js').Session, 'summary' | 'options' | 'changed' | 'dump'>} session */
export function verdict({ summary, options, changed, dump }) {
  if (hasRaces(summary)) return racesText(summary);
  if (changed) return 'The core is no longer what it was when it was opened.';
  const why = blockedBy(summary, options);
  if (why && summary.guest.os !== 'windows') return 'Only what the file says of itself is known.';
  if (why) return `It cannot be converted yet: ${why}.`;
  return dump && !dump.url ? 'It can be converted; the dump is to be prepared first.' : 'It can be converted.';
}

// racesText sums the reports up: "1 race report: 1 in flight." Each is in
// the list once; the states count it as often as it came.
/** @param {Summary} summary */
export function racesText(summary) {
  const list = summary.reports || [], { linux } = summary, counts = /** @type {Record<string, number>} */ ({ ...linux?.kcsan });
  const pieces = (summary.fragments || []).reduce((n, f) => n + f.count, 0), rest = `${pieces} ${pieces === 1 ? 'report is' : 'reports are'} not whole`;
  if (list.length === 0) {
    if (pieces) return `No whole race report: ${rest}.`;
    if (summary.file.format === 'log') return 'No race reports in this log.';
    return linux?.detail && !linux.detail.kcsan ? 'No race reports: this kernel was built without KCSAN.' : 'This kernel left no race reports.';
  }
  const states = ['printed', 'in_flight', 'pending', 'suppressed', 'residue'].filter((name) => counts[name]).map((name) => `${counts[name]} ${name.replace('_', ' ')}`);
  return `${list.length} ${list.length === 1 ? 'race report' : 'different race reports'}${states.length ? `: ${states.join(', ')}` : ''}${pieces ? `; ${rest}` : ''}.`;
}
