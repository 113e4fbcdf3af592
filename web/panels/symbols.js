// The kernel's PDB: whether it is needed, and how to get it.
import { html, nothing } from '../../lit-html/lit-html.js';
import { button, copyLine } from '../frame/parts.js';
import { blockedBy } from '../verdict.js';
import { of } from '../words.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'symbols',
  title: 'Symbols',
  side: true,
  when: (summary) => summary.guest.os === 'windows' && Boolean(summary.symbols.key),
  view(model, act, set) {
    const { session: { summary, options }, ui, build, offline } = model, { key, url, status, from } = summary.symbols;
    if (status === 'found' && from) return html`<p id="symbols-text">The kernel’s PDB is here (${of('from', from.kind, from)}).</p>`;
    const needed = Boolean(blockedBy(summary, options)), open = needed || ui.open, ask = !offline && build.symbols !== false;
    return html`<p id="symbols-text">${needed ? `This kernel’s PDB is needed: ${key}.` : 'The PDB is not needed here; with it, what was found in memory is cross-checked.'}</p>
      ${needed ? nothing : html`<p><button type="button" class="plain" id="symbols-more" aria-expanded=${String(Boolean(open))} @click=${() => set({ open: !open })}>${open ? 'Leave it' : 'Cross-check with the PDB'}</button></p>`}
      ${open ? html`<div id="symbols">
        ${needed ? nothing : html`<p><code>${key}</code></p>`}
        ${ask ? html`<p id="symbols-ask">This server will be asked for <code id="symbols-url">${address(key)}</code>; nothing else is sent.</p>` : nothing}
        <p class="row">${ask ? button('symbols', model, act, { at: 'symbols-get', label: 'Get it from this server' }) : nothing}
          ${button('pdb', model, act, { at: 'symbols-have', label: 'I have the file' })}</p>
        ${url ? html`<div id="symbols-elsewhere"><p>Or fetch it on a machine with internet, from this address, and drop it here:</p><div id="symbols-from">${copyLine(url, act)}</div></div>` : nothing}</div>` : nothing}`;
  },
};

/** @param {string} key */
const address = (key) => `${new URL('symbols', document.baseURI).href}/${key}`;
