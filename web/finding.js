// The finding: what happened, in one line, and how grave it is. It joins what the
// summary has in several places; it finds nothing out.
import { duration, size } from './format.js';
import { hasRaces } from './view.js';
import { moduleAt, place } from './places.js';

/**
 * @typedef {import('./summary.js').Summary} Summary
 * @typedef {{word: string, kind: 'bad' | 'note' | 'good' | 'none', text: string}} Finding word: what the colour says, for those who do not see it
 */

/**
 * finding is the one verdict.
 * @param {Summary} s
 * @returns {Finding}
 */
export function finding(s) {
  const bugcheck = s.windows?.bugcheck;
  if (bugcheck) return { word: 'Bug check', kind: 'bad', text: bugcheckLine(s) };
  const cut = cutLine(s);
  if (hasRaces(s)) {
    const race = raceLine(s);
    return race.kind === 'bad' || !cut ? race : { word: 'Cut off', kind: 'bad', text: cut };
  }
  if (cut) return { word: 'Cut off', kind: 'bad', text: cut };
  if (s.guest?.os === 'windows' && s.windows && !s.error) return { word: 'Alive', kind: 'good', text: `Alive: no bug check${inKernel(s)}` };
  if (s.guest?.os === 'windows') return { word: 'Windows', kind: 'note', text: 'A Windows guest, not yet looked into' };
  return { word: 'Unknown', kind: 'note', text: 'No system that is known was found in this core' };
}

/** @param {Summary} s */
function bugcheckLine(s) {
  const b = /** @type {import('./summary.js').BugCheck} */ (s.windows?.bugcheck), code = `0x${b.code.slice(2).toUpperCase()}`;
  const at = blamed(s);
  return `${b.name ? `${b.name} (${code})` : `Bug check ${code}`}${at ? ` in ${at}` : ''}`;
}

/**
 * blamed is the place that a bug check points to: a parameter's, or the first on the
 * crasher's stack that is not the kernel's own.
 * @param {Summary} s
 */
export function blamed(s) {
  const b = s.windows?.bugcheck;
  if (!b) return '';
  const named = (b.parameters || []).find((p) => p.at);
  if (named) return named.at;
  const stack = (b.stack || []).length ? b.stack : (s.cpus || []).find((c) => c.opens)?.stack || [];
  const guilty = stack.find((f) => f.module && !/^(nt|hal)$/i.test(f.module));
  return guilty ? place(guilty, 'windows') : '';
}

/** @param {Summary} s */
export function blamedModule(s) {
  const b = s.windows?.bugcheck, at = blamed(s);
  if (!b || !at) return -1;
  const direct = (b.parameters || []).find((p) => p.at);
  const byAddress = direct ? moduleAt(s, direct.value) : -1;
  if (byAddress >= 0) return byAddress;
  const name = at.split(/[!+]/)[0].toLowerCase();
  return (s.windows?.modules || []).findIndex((m) => m.name.toLowerCase().replace(/\.\w+$/, '') === name);
}

/** @param {Summary} s */
function inKernel(s) {
  const cpus = s.cpus || [];
  if (!cpus.some((c) => c.mode)) return '';
  const kernel = cpus.filter((c) => c.mode === 'kernel').length;
  return kernel ? `; ${kernel === cpus.length ? (kernel === 1 ? 'its processor' : `all ${kernel} processors`) : `${kernel} of ${cpus.length} processors`} in the kernel` : '; no processor in the kernel';
}

/** @param {Summary} s */
function cutLine(s) {
  const missing = s.memory?.missing_bytes || 0;
  if (missing > 0) return `Cut off: ${size(missing, false)} of ${size(missing + s.memory.bytes, false)} missing`;
  return (s.warnings || []).some((w) => w.code === 'truncated') ? 'Cut off: the file ends early' : '';
}

/** States of reports that no console has: what this tool is for. */
export const UNPRINTED = ['in-flight', 'pending', 'suppressed'];

/**
 * @param {Summary} s
 * @returns {Finding}
 */
function raceLine(s) {
  const count = (/** @type {string[]} */ states) => (s.reports || []).filter((r) => states.includes(r.state)).reduce((n, r) => n + (r.count || 1), 0);
  const unseen = count(UNPRINTED), printed = count(['printed']), { linux } = s;
  if (unseen) return { word: 'Race', kind: 'bad', text: `${unseen.toLocaleString('en')} ${unseen === 1 ? 'race' : 'races'} the console never saw` };
  if (linux?.panic) return { word: 'Panic', kind: 'bad', text: `Kernel panic: ${linux.panic}` };
  const [trouble] = linux?.troubles || [];
  if (trouble) return { word: 'Trouble', kind: 'bad', text: trouble.text };
  if (printed) return { word: 'Races', kind: 'bad', text: `${printed.toLocaleString('en')} ${printed === 1 ? 'race' : 'races'} printed${s.file.format === 'log' ? '' : ', none that the console never saw'}` };
  return { word: 'None', kind: 'good', text: s.file.format === 'log' ? 'No data race in this log' : 'No data race to be seen' };
}

/**
 * guestLine is the second line: the system, when it stopped, how long it was up.
 * @param {Summary} s
 */
export function guestLine(s) {
  const g = s.guest || {};
  const system = hasRaces(s) ? (g.version ? `Linux ${g.version}` : '') : g.version || (g.os === 'windows' ? 'Windows' : '');
  const stopped = (g.system_time || '').replace(/^([\d-]+)T([\d:]+)(\.\d+)?Z$/, 'stopped $1 $2 UTC');
  const counters = s.linux?.detail?.kcsan?.counters || [], detected = counters.find((c) => c.name === 'data_races')?.value;
  return [system, hasRaces(s) ? '' : g.product, g.arch, stopped, g.uptime_seconds ? `up ${duration(g.uptime_seconds)}` : '',
    detected ? `${detected.toLocaleString('en')} data ${detected === 1 ? 'race' : 'races'} detected since boot` : ''].filter(Boolean).join(' · ');
}
