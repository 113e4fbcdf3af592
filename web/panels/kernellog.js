// The kernel's log, on request.
import { html } from '../../lit-html/lit-html.js';
import { button } from '../frame/parts.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'kernel-log',
  title: 'Kernel log',
  when: (summary) => Boolean(summary.linux?.detail),
  view(model, act) {
    const { session: { log, summary } } = model, records = summary.linux?.detail?.log_records;
    if (!log) return html`<p>${button('kernel-log', model, act, { at: 'dmesg-show', label: `Show the kernel log${records ? ` (${records.toLocaleString('en')} records)` : ''}` })}</p>`;
    return html`<p><button type="button" id="dmesg-copy" @click=${() => act('copy', { text: log, element: document.getElementById('dmesg') })}>Copy the kernel log</button></p>
      <pre id="dmesg" tabindex="0" aria-label="Kernel log">${log}</pre>`;
  },
};
