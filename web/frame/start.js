// What stands below the picker while nothing is open.
import { html, nothing, svg } from '../../lit-html/lit-html.js';
import { size } from '../format.js';
import { button, name } from './parts.js';
import { notice } from './notice.js';
import { where } from './where.js';

/**
 * @param {import('../store.js').State} state
 * @param {import('../panels.js').Act} act
 */
export function start(state, act) {
  if (state.session) return nothing;
  const { build, offline, secure, job } = state, busy = Boolean(job) || !state.ready, model = /** @type {any} */ ({ busy });
  return html`${notice(state.notices.find((n) => n.at === 'start'), act, busy)}
    ${refused(state.refused, act)}
    <div id="samples" role="group" aria-label="Samples">${[['sample-crash', 'Windows bug check', 'four processors, a driver to blame', 'crash'], ['sample-races', 'KCSAN races', '46 reports of a kernel log', 'races']].map(([id, title, text, kind]) => html`<button type="button" class="sample" id=${id} ?disabled=${busy} @click=${() => act(id)}>
      <span class="thumb ${kind}" aria-hidden="true">${thumb(kind)}</span><span><strong>${title}</strong><br>${text}</span></button>`)}</div>
    ${build.demo && !offline ? html`<p class="row" id="demo">${button('demo', model, act, { at: 'demo-open', label: 'Try it' })}
      <span>with the built-in demo guest (our own small NT-like kernel, 13 MB)</span></p>` : nothing}
    <p id="privacy">The file is read in place, in this tab${typeof build.symbols === 'boolean' ? html`<span id="promise">: there is no code on the server that could receive it</span>` : nothing}.
      ${offline ? html`<span id="no-network">Nothing at all is asked of the network.</span>` : html`The one thing that may be asked of the network is the kernel’s PDB, from this server, by its name and identity,
      and only after you agreed to the address shown.`}</p>
    ${state.recent.length ? before(state, act, busy) : nothing}
    ${where(state.ui.where || {}, act)}
    ${secure ? nothing : html`<p id="insecure">Opened over plain http: working offline and the save picker are off (nothing else is).</p>`}
    ${state.pdbs.length ? html`<section aria-labelledby="waiting-title"><h3 id="waiting-title">PDBs for the next core</h3>
      <ul id="waiting" class="files">${state.pdbs.map((p) => html`<li><span>${name(p.name)} <span class="soft">${size(p.size, false)}</span> <code>${p.id}</code></span>
        ${button('take-back', model, act, { arg: p.id, at: `take-back-${p.id}`, describe: `Take back ${p.name}` })}</li>`)}</ul></section>` : nothing}
    ${state.cached.length ? html`<details id="cached"><summary>PDBs kept in this browser: ${state.cached.length}, ${size(state.cached.reduce((n, c) => n + c.bytes, 0), false)}</summary>
      <ul class="files">${state.cached.map(({ key, bytes }) => html`<li><span><code>${key.split('/').slice(0, 2).join(' ')}</code> <span class="soft">${size(bytes, false)}</span></span>
        ${button('forget', model, act, { arg: key, at: `forget-${key.split('/')[1]}`, describe: `Delete ${key.split('/').slice(0, 2).join(' ')}` })}</li>`)}</ul></details>` : nothing}`;
}

/**
 * before lists the files that were opened before.
 * @param {import('../store.js').State} state
 * @param {import('../panels.js').Act} act
 * @param {boolean} busy
 */
function before({ recent }, act, busy) {
  return html`<section aria-labelledby="recent-title"><h3 id="recent-title">Opened before</h3>
    <ul id="recent" class="files">${recent.map((r) => html`<li><span>${name(r.name)} <span class="soft">${size(r.size, false)}</span></span>
      <span class="row"><button type="button" data-recent="open" aria-label="Open ${r.name} again" ?disabled=${busy} @click=${() => act('open-recent', r)}>Open again</button>
      <button type="button" data-recent="forget" aria-label="Take ${r.name} off the list" @click=${() => act('forget-recent', r.id)}>✕</button></span></li>`)}</ul>
    <p class="soft">This browser keeps the names and the way back to the files, no data of them. <button type="button" class="plain" id="recent-clear" @click=${() => act('forget-recent')}>Clear the list</button></p></section>`;
}

/**
 * refused lists what was refused in this visit, with the reasons.
 * @param {{name: string, text: string}[]} list
 * @param {import('../panels.js').Act} act
 */
function refused(list, act) {
  return list.length ? html`<details id="refused" open><summary>Refused in this visit: ${list.length}</summary><ul class="files">${list.map((r) => html`<li><span>${name(r.name)} <span class="soft">${r.text}</span></span></li>`)}</ul>
    <p><button type="button" class="plain" @click=${() => act('forget-refused')}>Clear the list</button></p></details>` : nothing;
}

// thumb is what a sample's result looks like, in small.
/** @param {string} kind */
function thumb(kind) {
  const tiles = [0, 1, 2, 3].map((i) => svg`<rect class=${kind === 'crash' && i === 2 ? 'bad' : 'tile'} x=${4 + i * 23} y="16" width="20" height="12" rx="2"></rect>`);
  const sides = [0, 1].map((i) => svg`<rect class=${i ? 'tile' : 'bad'} x=${4 + i * 47} y="16" width="42" height="30" rx="2"></rect>`);
  return html`<svg viewBox="0 0 96 56">${svg`<rect class="bad" x="4" y="4" width="3" height="8"></rect><rect class="line" x="10" y="5" width="60" height="5"></rect>`}
    ${kind === 'crash' ? svg`${tiles}<rect class="run" x="4" y="34" width="34" height="14"></rect><rect class="hole" x="38" y="34" width="32" height="14"></rect><rect class="run" x="70" y="34" width="22" height="14"></rect>` : sides}</svg>`;
}
