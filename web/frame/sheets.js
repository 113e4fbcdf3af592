// The sheet of keys and the palette: both are the table of commands.
import { html } from '../../lit-html/lit-html.js';
import { commands } from '../commands.js';

/**
 * @param {import('../store.js').State} state
 * @param {import('../panels.js').Act} act
 */
export function sheets(state, act) {
  const find = (state.ui.palette?.find || '').toLowerCase();
  const close = (/** @type {any} */ e) => e.currentTarget.closest('dialog').close();
  const pick = (/** @type {any} */ e, /** @type {string} */ id) => { close(e); act(id); };
  const listed = commands.filter((c) => !c.hidden && c.when(state) && c.name.toLowerCase().includes(find));
  return html`<dialog id="help" aria-labelledby="help-title"><h2 id="help-title">Keys</h2>
      <dl>${commands.filter((c) => c.keys).map((c) => html`<dt>${c.keys?.map((k) => html`<kbd>${k}</kbd>`)}</dt><dd>${c.name}${c.tip ? `: ${c.tip}` : ''}</dd>`)}</dl>
      <p>Files can be dropped or pasted anywhere on the page.</p>
      <p><button type="button" @click=${close}>Close</button></p></dialog>
    <dialog id="palette" aria-labelledby="palette-title"><h2 id="palette-title">Commands</h2>
      <p><label for="palette-find">Find</label> <input type="text" id="palette-find" autocomplete="off" spellcheck="false" .value=${state.ui.palette?.find || ''}
        @input=${(/** @type {any} */ e) => act('ui', { panel: 'palette', change: { find: e.currentTarget.value } })}
        @keydown=${(/** @type {any} */ e) => { if (e.key === 'Enter' && listed[0]) pick(e, listed[0].id); }}></p>
      <ul class="commands">${listed.map((c) => html`<li><button type="button" data-command=${c.id} @click=${(/** @type {any} */ e) => pick(e, c.id)}>${c.name}${c.keys ? html` <kbd>${c.keys[0]}</kbd>` : ''}</button></li>`)}</ul>
      <p><button type="button" @click=${close}>Close</button></p></dialog>`;
}
