// Lines of a kernel log.

const MOST = 300; // found lines at once
const AROUND = 30; // lines before and behind one

/**
 * finds gives the lines that have a text, whatever its case.
 * @param {string} log
 * @param {string} text
 */
export function finds(log, text) {
  const wanted = text.toLowerCase(), all = log.split('\n'), lines = /** @type {{at: number, text: string}[]} */ ([]);
  if (all.at(-1) === '') all.pop();
  let count = 0;
  for (const [at, line] of all.entries()) {
    if (!line.toLowerCase().includes(wanted)) continue;
    count++;
    if (lines.length < MOST) lines.push({ at, text: line });
  }
  return { all: all.length, count, lines };
}

/**
 * around gives a line and its neighbours.
 * @param {string} log
 * @param {number} at from 0
 */
export function around(log, at) {
  const all = log.split('\n'), join = (/** @type {string[]} */ list) => list.map((l) => `${l}\n`).join('');
  return { before: join(all.slice(Math.max(0, at - AROUND), at)), line: `${all[at] ?? ''}\n`, after: join(all.slice(at + 1, at + 1 + AROUND)) };
}

/**
 * lineOf finds the line of a report: by its time, else by its title; -1 where the log
 * has it no more.
 * @param {string} log
 * @param {string} title
 * @param {number | null} seconds
 */
export function lineOf(log, title, seconds) {
  const all = log.split('\n'), function_ = title.replace(/^[\w-]+ in /, '').split(' / ')[0];
  let first = -1;
  for (const [at, line] of all.entries()) {
    if (!line.includes('BUG: KCSAN')) continue;
    if (line.includes(function_) && first < 0) first = at;
    const [, stamp] = /\[\s*(\d+\.\d+)[^\]]*\]/.exec(line) || [];
    if (seconds !== null && stamp && Math.abs(Number(stamp) - seconds) < 1.5e-6) return at;
  }
  return first;
}
