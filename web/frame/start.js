// What stands below the picker while nothing is open.
import { html, nothing } from '../../lit-html/lit-html.js';
import { size } from '../format.js';
import { button, name } from './parts.js';
import { notice } from './notice.js';

/**
 * @param {import('../store.js').State} state
 * @param {import('../panels.js').Act} act
 */
export function start(state, act) {
  if (state.session) return nothing;
  const { build, offline, secure, job } = state, busy = Boolean(job) || !state.ready, model = /** @type {any} */ ({ busy });
  return html`${notice(state.notices.find((n) => n.at === 'start'), act, busy)}
    ${build.demo && !offline ? html`<p class="row" id="demo">${button('demo', model, act, { at: 'demo-open', label: 'Try it' })}
      <span>with the built-in demo guest (our own small NT-like kernel, 13 MB)</span></p>` : nothing}
    <p id="privacy">The file is read in place, in this tab${typeof build.symbols === 'boolean' ? html`<span id="promise">: there is no code on the server that could receive it</span>` : nothing}.
      ${offline ? html`<span id="no-network">Nothing at all is asked of the network.</span>` : html`The one thing that may be asked of the network is the kernel’s PDB, from this server, by its name and identity,
      and only after you agreed to the address shown.`}</p>
    ${secure ? nothing : html`<p id="insecure">Opened over plain http: working offline and the save picker are off (nothing else is).</p>`}
    ${state.pdbs.length ? html`<section aria-labelledby="waiting-title"><h3 id="waiting-title">PDBs for the next core</h3>
      <ul id="waiting" class="files">${state.pdbs.map((p) => html`<li><span>${name(p.name)} <span class="soft">${size(p.size, false)}</span> <code>${p.id}</code></span>
        ${button('take-back', model, act, { arg: p.id, at: `take-back-${p.id}`, describe: `Take back ${p.name}` })}</li>`)}</ul></section>` : nothing}
    ${state.cached.length ? html`<details id="cached"><summary>PDBs kept in this browser: ${state.cached.length}, ${size(state.cached.reduce((n, c) => n + c.bytes, 0), false)}</summary>
      <ul class="files">${state.cached.map(({ key, bytes }) => html`<li><span><code>${key.split('/').slice(0, 2).join(' ')}</code> <span class="soft">${size(bytes, false)}</span></span>
        ${button('forget', model, act, { arg: key, at: `forget-${key.split('/')[1]}`, describe: `Delete ${key.split('/').slice(0, 2).join(' ')}` })}</li>`)}</ul></details>` : nothing}`;
}
