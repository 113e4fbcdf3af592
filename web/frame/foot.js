// The log of this visit, and what was built.
import { html } from '../../lit-html/lit-html.js';

/**
 * @param {import('../store.js').State} state
 * @param {import('../panels.js').Act} act
 */
export function foot({ build, log }, act) {
  return html`<details id="log-pane"><summary>Log</summary>
      <p class="row"><button type="button" id="log-copy" @click=${() => act('copy-log', document.getElementById('log'))}>Copy log</button>
      <button type="button" id="log-copy-redacted" @click=${() => act('copy-log-redacted')}>Copy without addresses</button></p>
      <p class="soft" id="log-holds">It holds names and sizes of files, addresses of the guest’s kernel and the identity of its PDB, and nothing of its memory.
        While the guest still runs, such addresses help who attacks it: the second form leaves them out.</p>
      <pre id="log" tabindex="0" aria-label="Log">${log}</pre></details>
    <p id="build-text">Coredrop ${build.version || 'devel'}, commit ${build.commit || 'unknown'}, wasm ${(build.wasm || 'unknown').slice(0, 16)}</p>
    <p>Keys: <kbd>Ctrl</kbd>+<kbd>O</kbd> open, <kbd>Ctrl</kbd>+<kbd>S</kbd> save, <kbd>Esc</kbd> cancel, <button type="button" class="plain" id="keys" @click=${() => act('help')}><kbd>?</kbd> all keys</button>.</p>`;
}
