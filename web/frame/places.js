// Links inside the page: an address leads to the row of its module, a processor to
// its tile, a physical address to its place in the map.
import { html, nothing } from '../../lit-html/lit-html.js';
import { moduleAt, place } from '../places.js';

/**
 * toModule makes a text that leads to the module of an address, where that is known.
 * @param {import('../summary.js').Summary} s
 * @param {string} address
 * @param {unknown} text
 * @param {import('../panels.js').Act} act
 */
export function toModule(s, address, text, act) {
  const index = moduleAt(s, address);
  if (index < 0) return html`<code>${text}</code>`;
  return html`<a href="#panel-modules" class="code" @click=${link(act, { panel: 'modules', change: { find: '', all: true }, target: `module-${index}` })}>${text}</a>`;
}

/**
 * @param {number} index
 * @param {import('../panels.js').Act} act
 */
export function toCPU(index, act) {
  return html`<a href="#panel-processors" @click=${link(act, { panel: 'processors', change: { cpu: index }, target: `cpu-${index}` })}>CPU ${index}</a>`;
}

/**
 * toMap makes a text that leads to a physical address in the map.
 * @param {string} pa
 * @param {unknown} text
 * @param {import('../panels.js').Act} act
 */
export function toMap(pa, text, act) {
  return html`<a href="#panel-memory" class="code" @click=${link(act, { panel: 'memory', change: { pa }, target: 'memory-map' })}>${text}</a>`;
}

/**
 * link gives what a click does: the address of the page stays, for it names panels
 * only.
 * @param {import('../panels.js').Act} act
 * @param {{panel: string, change: Record<string, any>, target: string}} to
 */
function link(act, to) {
  return (/** @type {Event} */ e) => {
    e.preventDefault();
    act('show', to);
  };
}

const NOTES = /** @type {Record<string, string>} */ ({ guessed: 'not proved by unwinding data' });

/**
 * stackList is a call stack, the innermost frame first. Frames from shared on are
 * dimmed; so are guesses, which say so too.
 * @param {import('../summary.js').Summary} s
 * @param {import('../summary.js').Frame[]} stack
 * @param {import('../panels.js').Act} act
 * @param {{end?: string, shared?: number, label?: string}} [more]
 */
export function stackList(s, stack, act, { end = '', shared = 0, label = 'Call stack, innermost first' } = {}) {
  const os = s.guest?.os;
  return html`<ol class="stack" aria-label=${label}>${stack.map((f, i) => html`<li class=${i >= stack.length - shared ? 'shared' : ''}>${toModule(s, f.address, place(f, os), act)}${f.inline ? html` <span class="soft">(inlined)</span>` : nothing}${f.file ? html` <span class="soft">${f.file}:${f.line}</span>` : nothing}${f.guessed ? html` <span class="badge" title=${NOTES.guessed}>guessed</span>` : nothing}${f.note ? html` <span class="soft">${f.note}</span>` : nothing}</li>`)}</ol>
    ${end ? html`<p class="soft">${end.replace(/^[a-z]/, (c) => c.toUpperCase())}.</p>` : nothing}`;
}
