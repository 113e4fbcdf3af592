// Small pieces that panels share.
import { html, nothing } from '../../lit-html/lit-html.js';
import { command } from '../commands.js';

// Nothing of a file reaches the page as HTML: what a template takes is text. Names
// from a guest may turn the direction of what stands behind them: <bdi> keeps that
// inside.
/** @param {string} text */
export const name = (text) => html`<bdi>${text}</bdi>`;

/**
 * copyLine is a line of code with a button that copies it.
 * @param {string} text
 * @param {import('../panels.js').Act} act
 */
export function copyLine(text, act) {
  return html`<div class="line"><code>${text}</code><button type="button" aria-label="Copy ${text}"
    @click=${(/** @type {any} */ e) => act('copy', { text, element: e.currentTarget.previousElementSibling })}>Copy</button></div>`;
}

/**
 * button is the button of a command: its name, its keys and what it does come from
 * the table, and it is locked where the command cannot be run.
 * @param {string} id
 * @param {import('../panels.js').Model} model
 * @param {import('../panels.js').Act} act
 * @param {{label?: string, arg?: unknown, at?: string, primary?: boolean, describe?: string}} [more]
 */
export function button(id, model, act, { label, arg, at, primary, describe } = {}) {
  const { name: text, keys = [], tip = '' } = command(id);
  const title = [tip, keys.length ? `(${keys.join(', ')})` : ''].filter(Boolean).join(' ');
  return html`<button type="button" id=${at ?? id} class=${primary ? 'primary' : ''} title=${title || nothing} aria-label=${describe || nothing}
    ?disabled=${model.busy} @click=${() => act(id, arg)}>${label || text}</button>`;
}
