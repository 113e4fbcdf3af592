// The summary to take along: for a ticket, and as the command line prints it.
import { html, nothing } from '../../lit-html/lit-html.js';
import { SUMMARIES } from '../report.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'json',
  title: 'Take it along',
  side: true,
  when: () => true,
  view: ({ session, ui }, act, set) => html`<p class="soft">What was found, with addresses of the guest’s kernel and nothing of its memory.</p>
    <p class="row">${Object.entries(SUMMARIES).map(([id, { name }]) => html`<button type="button" id="summary-copy-${id}" @click=${() => act('copy', { text: SUMMARIES[id].make(session) })}>Copy as ${name}</button>`)}</p>
    <p class="row">${Object.entries(SUMMARIES).map(([id, { ending }]) => html`<button type="button" id="summary-save-${id}" @click=${() => act('save-summary', id)}>Save .${ending}</button>`)}
    <button type="button" id="summary-print" @click=${() => act('print')}>Print</button></p>
    <p class="row"><button type="button" id="json-show" aria-expanded=${String(Boolean(ui.open))} @click=${() => set({ open: !ui.open })}>${ui.open ? 'Hide the JSON' : 'Show the JSON'}</button></p>
    ${ui.open ? html`<pre id="json" tabindex="0" aria-label="Summary as JSON">${session.json}</pre>` : nothing}`,
};
