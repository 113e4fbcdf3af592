// Where every thread stood, by their stacks: equal ones are shown once.
import { html, nothing } from '../../lit-html/lit-html.js';
import { button } from '../frame/parts.js';
import { stackList, toCPU } from '../frame/places.js';
import { place } from '../places.js';
import { once } from '../memo.js';

// More groups at once would hold the page's thread up.
const MOST = 50;

/** @typedef {import('../summary.js').Thread} Thread */

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'threads',
  title: 'Threads',
  when: (summary) => summary.guest?.os === 'windows' && Boolean(summary.windows) && !summary.error,
  view(model, act, set) {
    const { session: { summary, stacks }, ui } = model, threads = summary.threads || [];
    if (!stacks && !threads.length) return html`<p class="row">${button('stacks', model, act, { at: 'threads-read', label: 'Read where every thread stood' })} <span class="soft">with the names of every PDB that is here</span></p>`;
    if (!threads.length) return html`<p>No thread can be reached in this core.</p>`;
    const find = (ui.find || '').trim().toLowerCase(), waiting = ui.state || '';
    const has = threads.filter((t) => (!waiting || t.state === waiting) && (!find || words(t).includes(find)));
    const groups = has.length === threads.length ? all(threads) : grouped(has), states = [...new Set(threads.map((t) => t.state))].filter(Boolean), shown = groups.slice(0, ui.most || MOST);
    // What is inside a group is drawn once it was opened: there may be very many.
    const key = (/** @type {Thread[]} */ list) => `${list[0].process?.pid}.${list[0].tid}`, seen = (/** @type {Thread[]} */ list) => Boolean(ui.seen?.[key(list)]);
    return html`<p class="row"><label for="threads-find">Find</label> <input type="text" id="threads-find" size="20" autocomplete="off" spellcheck="false" .value=${ui.find || ''} @input=${(/** @type {any} */ e) => set({ find: e.currentTarget.value })}>
        ${states.map((s) => html`<button type="button" class="filter" aria-pressed=${String(waiting === s)} @click=${() => set({ state: waiting === s ? '' : s })}>${s} ${threads.filter((t) => t.state === s).length.toLocaleString('en')}</button>`)}
        <span id="threads-count" class="soft">${has.length === threads.length ? `${threads.length.toLocaleString('en')} threads` : `${has.length.toLocaleString('en')} of ${threads.length.toLocaleString('en')} threads`} in ${groups.length.toLocaleString('en')} ${groups.length === 1 ? 'stack' : 'different stacks'}</span></p>
      <div id="threads-list">${shown.map(([top, list]) => html`<details @toggle=${(/** @type {any} */ e) => e.currentTarget.open && !seen(list) && set({ seen: { ...ui.seen, [key(list)]: true } })}><summary><span class="count">${list.length.toLocaleString('en')} ×</span> <code>${top}</code> <span class="soft">${processes(list)}</span></summary>
        ${seen(list) ? inside(summary, list, act) : nothing}</details>`)}</div>
      ${groups.length > shown.length ? html`<p><button type="button" id="threads-more" @click=${() => set({ most: (ui.most || MOST) + MOST })}>Show ${Math.min(MOST, groups.length - shown.length)} more of ${groups.length.toLocaleString('en')}</button></p>` : nothing}`;
  },
};

/**
 * inside are the threads of a group, and where they stood.
 * @param {import('../summary.js').Summary} summary
 * @param {Thread[]} list
 * @param {import('../panels.js').Act} act
 */
function inside(summary, list, act) {
  return html`<p class="soft">${list.slice(0, 40).map((t, i) => html`${i ? ', ' : nothing}<bdi>${t.process?.name || '?'}</bdi> ${t.process?.pid ?? ''}.${t.tid}${t.processor !== null ? html` on ${toCPU(t.processor, act)}` : nothing}`)}${list.length > 40 ? ` and ${(list.length - 40).toLocaleString('en')} more` : ''}</p>
    ${stackList(summary, list[0].stack, act, { end: list[0].stack_end, label: `Stack of ${list.length} threads, innermost first` })}`;
}

// What a thread is found by.
const words = once((/** @type {Thread} */ t) => `${t.process?.name || ''} ${t.process?.pid ?? ''} ${t.tid} ${t.stack.map((f) => place(f, 'windows')).join(' ')}`.toLowerCase());

const all = once((/** @type {Thread[]} */ threads) => grouped(threads));

// The frames by which a thread waits: what stands behind them tells threads apart.
const WAITING = /^(KiSwapContext|KiSwapThread|KiCommitThreadWait|KeWaitFor|KeDelayExecutionThread|KeRemoveQueue|KiSchedulerApc)/;

/**
 * grouped gives threads by equal stacks, the most frequent first, each with what it
 * stood in.
 * @param {Thread[]} threads
 * @returns {[string, Thread[]][]}
 */
export function grouped(threads) {
  const groups = /** @type {Map<string, Thread[]>} */ (new Map());
  for (const t of threads) {
    const key = t.stack.length ? t.stack.map((f) => f.address).join(' ') : `${t.state} ${t.stack_end}`;
    const list = groups.get(key);
    if (list) list.push(t);
    else groups.set(key, [t]);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length).map((list) => [top(list[0]), list]);
}

/** @param {Thread} t */
function top(t) {
  const frames = t.stack.filter((f) => !WAITING.test(f.symbol));
  return frames.length ? frames.slice(0, 3).map((f) => place(f, 'windows')).join(' ← ') : t.stack[0] ? place(t.stack[0], 'windows') : t.stack_end || t.state;
}

/** @param {Thread[]} list */
function processes(list) {
  const names = [...new Set(list.map((t) => t.process?.name || '?'))];
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}
