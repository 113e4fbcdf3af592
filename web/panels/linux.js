// What a Linux core says of its kernel besides race reports: the sanitizer's own
// data, tasks, CPUs, modules.
import { html } from '../../lit-html/lit-html.js';
import { sortable } from '../table.js';

/** @typedef {NonNullable<import('../summary.js').Summary['linux']>} Linux */
/** @typedef {NonNullable<Linux['detail']>} Detail */

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'linux',
  title: 'The kernel',
  when: (summary) => Boolean(summary.linux?.detail),
  view: ({ session, ui }, act, set) => html`<div id="linux-tables">${tables(/** @type {Linux} */ (session.summary.linux), session.summary.cpus).map(([title, caption, columns, rows]) => html`<details>
    <summary>${title} (${rows.length})</summary>
    <div class="wide">${rows.length ? sortable(caption, columns, rows, ui[title], (order) => set({ [title]: order })) : html`<p>None.</p>`}</div></details>`)}</div>`,
};

/**
 * tables lists [title, caption, columns, rows].
 * @param {Linux} found
 * @param {import('../summary.js').CPU[]} cpus
 * @returns {[string, string, import('../table.js').Column[], import('../table.js').Cell[][]][]}
 */
function tables(found, cpus) {
  const detail = /** @type {Detail} */ (found.detail);
  const text = (/** @type {string} */ name) => ({ name }), number = (/** @type {string} */ name) => ({ name, number: true }), code = (/** @type {string} */ name) => ({ name, code: true });
  /** @type {ReturnType<typeof tables>} */
  const list = [], k = detail.kcsan;
  if (found.troubles?.length) {
    list.push(['What went wrong', 'What went wrong, as the log tells it', [number('Seconds'), text('Kind'), text('Line'), code('Where'), code('By')],
      found.troubles.map((t) => [t.seconds, t.kind, t.text, t.where, t.caller])]);
  }
  if (k) {
    list.push(
      ['Watchpoints', 'Watchpoints in use when the machine stopped', [number('Slot'), text('State'), code('Address'), number('Bytes'), text('Access')],
        k.watchpoints.map((w) => w.state === 'armed'
          ? [w.index, w.state, w.address, w.size, w.write ? 'write' : 'read'] : [w.index, w.state, { text: 'no longer known', key: '' }, { text: '', key: 0 }, ''])],
      ['Counters', 'KCSAN’s counters since the boot', [code('Counter'), number('Value')], k.counters.map((c) => [c.name, c.value])],
      ['Configuration', 'KCSAN’s configuration as seen in memory', [text('Setting'), text('Value')], configuration(k)],
    );
  }
  list.push(
    ['Tasks', detail.tasks_whole ? 'Processes' : 'Processes; the list is broken, and what both its ends lead to is shown', [number('PID'), text('Command')],
      detail.tasks.map((t) => [{ text: String(t.pid), key: t.pid }, t.name])],
    ['CPUs', 'What each CPU was doing', [number('CPU'), text('Task'), code('Stack, innermost first')],
      cpus.map((c) => [c.index, c.process ? `${c.process.name} (${c.process.pid})` : '', c.stack.map(place).join('\n')])],
  );
  if (detail.modules.length) {
    list.push(['Modules', 'Loaded modules', [code('Module'), code('Base'), number('Bytes')], detail.modules.map((m) => [m.name, m.base, m.size])]);
  }
  return list;
}

/**
 * place writes a frame as the kernel does: name, offset, size, module; and behind
 * it its source line. What was inlined has a line of its own.
 * @param {import('../summary.js').CPU['stack'][number]} f
 */
export function place(f) {
  const hex = (/** @type {number} */ n) => `0x${n.toString(16)}`;
  const line = f.file ? ` ${f.file}:${f.line}` : '';
  if (f.inline) return `${f.symbol}${line} (inlined)`;
  return (f.symbol ? `${f.symbol}+${hex(f.offset)}/${hex(f.size)}${f.module ? ` [${f.module}]` : ''}` : f.address) + line;
}

/**
 * @param {NonNullable<Detail['kcsan']>} k
 * @returns {import('../table.js').Cell[][]}
 */
function configuration(k) {
  const yes = (/** @type {boolean} */ on) => on ? 'yes' : 'no';
  return [
    ['generation of report.c', `since Linux ${k.version}`],
    ['enabled', yes(k.enabled)],
    ['verbose reports', yes(k.verbose)],
    ['value changes only', yes(k.value_change_only)],
    ['slots for reports', k.slots],
    ['rate-limit slots', k.rate_limit_slots],
    ['rate-limit slots used', k.rate_limit_used],
    ...Object.entries(k.found_by || {}).map(([name, by]) => /** @type {[string, string]} */ ([`${name} found by`, by])),
  ];
}
