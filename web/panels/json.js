// The summary as the command line prints it.
import { html, nothing } from '../../lit-html/lit-html.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'json',
  title: 'Summary as JSON',
  side: true,
  when: () => true,
  view: ({ session, ui }, act, set) => html`<p class="row"><button type="button" id="json-show" aria-expanded=${String(Boolean(ui.open))} @click=${() => set({ open: !ui.open })}>${ui.open ? 'Hide it' : 'Show it'}</button>
    <button type="button" id="json-copy" @click=${() => act('copy-json', document.getElementById('json'))}>Copy JSON</button></p>
    ${ui.open ? html`<pre id="json" tabindex="0" aria-label="Summary as JSON">${session.json}</pre>` : nothing}`,
};
