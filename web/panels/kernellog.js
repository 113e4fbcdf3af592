// The kernel's log, on request: all of it, the lines that have a word, or the lines
// around a report.
import { html, nothing } from '../../lit-html/lit-html.js';
import { button } from '../frame/parts.js';
import { around, finds } from '../loglines.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'kernel-log',
  title: 'Kernel log',
  when: (summary, session) => Boolean(summary.linux?.detail) || summary.file.format === 'log' && !session.pasted,
  view(model, act, set) {
    const { session: { log, summary }, ui } = model, records = summary.linux?.detail?.log_records;
    if (!log) return html`<p>${button('kernel-log', model, act, { at: 'dmesg-show', label: `Show the kernel log${records ? ` (${records.toLocaleString('en')} records)` : ''}` })}</p>`;
    const near = ui.line === undefined ? null : around(log, ui.line), found = ui.find ? finds(log, ui.find) : null;
    return html`<p class="row"><label for="dmesg-find">Find</label> <input type="text" id="dmesg-find" size="20" autocomplete="off" spellcheck="false" .value=${ui.find || ''} @input=${(/** @type {any} */ e) => set({ find: e.currentTarget.value, line: undefined })}>
        <span id="dmesg-count" class="soft">${found ? `${found.count.toLocaleString('en')} of ${found.all.toLocaleString('en')} lines` : nothing}</span>
        ${near ? html`<button type="button" id="dmesg-all" @click=${() => set({ line: undefined })}>Show all of it</button>` : nothing}
        <button type="button" id="dmesg-copy" @click=${() => act('copy', { text: log, element: document.getElementById('dmesg') })}>Copy the kernel log</button></p>
      ${found ? html`<ol id="dmesg-found" class="lines" tabindex="0" aria-label="Lines that have it">${found.lines.map(({ at, text }) => html`<li><button type="button" class="plain" @click=${() => set({ line: at, find: '' })}>${(at + 1).toLocaleString('en')}</button> <code>${text}</code></li>`)}</ol>`
        : near ? html`<pre id="dmesg-near" tabindex="0" aria-label="Lines around the report">${near.before}<mark id="dmesg-line">${near.line}</mark>${near.after}</pre>`
          : html`<pre id="dmesg" tabindex="0" aria-label="Kernel log">${log}</pre>`}`;
  },
};
