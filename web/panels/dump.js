// The dump: what kind, how it was checked, and what can be checked of it.
import { html, nothing } from '../../lit-html/lit-html.js';
import { live } from '../../lit-html/directives/live.js';
import { button } from '../frame/parts.js';
import { duration, size } from '../format.js';
import { blockedBy } from '../verdict.js';
import { dumpText } from '../view.js';
import { anatomy } from '../frame/anatomy.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'dump',
  title: 'Dump',
  side: true,
  when: (summary) => summary.guest.os === 'windows',
  view(model, act, set) {
    const { session: { summary, options, dump: made, changed }, busy, hashRate } = model, why = blockedBy(summary, options);
    return html`${anatomy(summary, model.ui, act, set)}${made?.url ? ready(model, act, made, hashRate)
      : made ? html`<p>It has ${summary.dump?.parts.toLocaleString('en')} parts, too many to hand to the browser as they are: it is written out first, and takes ${size(made.bytes, false)} of the browser’s room on the disk until it is saved.</p>`
        : html`<p id="no-dump">${changed ? 'The core is no longer what it was: the dump is withdrawn.' : why ? `No dump can be made yet: ${why}.` : 'It is not made yet.'}</p>`}
      <form id="options" @submit=${(/** @type {Event} */ e) => e.preventDefault()}>
        <p><label for="type">Type</label> <select id="type" ?disabled=${busy} .value=${live(options.type)} @change=${(/** @type {any} */ e) => act('options', { type: e.currentTarget.value })}>
          <option value="">automatic</option>${['full', 'bitmap', 'kernel', 'triage'].map((type) => html`<option value=${type}>${type}${sizeOf(summary, type)}</option>`)}</select></p>
        <p><label><input type="checkbox" id="compat" ?disabled=${busy} .checked=${live(options.compat)} @change=${(/** @type {any} */ e) => act('options', { compat: e.currentTarget.checked })}>
          as elf2dmp writes it, byte for byte</label></p>
        ${recorded(summary, options) ? html`<p><label><input type="checkbox" id="live" ?disabled=${busy || options.compat} .checked=${live(options.registers === 'live')} @change=${(/** @type {any} */ e) => act('options', { registers: e.currentTarget.checked ? 'live' : '' })}>
          with the registers of the moment the core was taken</label> <span class="soft">instead of those that Windows recorded at the bug check</span></p>` : nothing}</form>`;
  },
};

// recorded tells a core in which there is a choice: Windows recorded the registers of a
// processor in the bug check, and it went on.
/**
 * @param {import('../summary.js').Summary} s
 * @param {import('../store.js').Session['options']} options
 */
function recorded(s, options) {
  return Boolean(s.windows?.bugcheck) && (options.registers === 'live' || s.cpus.some((c) => c.registers_from === 'record'));
}

/**
 * sizeOf is how large a type of dump becomes.
 * @param {import('../summary.js').Summary} s
 * @param {string} type
 */
function sizeOf(s, type) {
  const known = (s.convert.types || []).find((t) => t.type === type);
  return known ? ` · ${known.at_most ? 'at most ' : ''}${size(known.bytes, false)}` : '';
}

/**
 * @param {import('../panels.js').Model} model
 * @param {import('../panels.js').Act} act
 * @param {import('../store.js').Dump} made
 * @param {number} rate
 */
function ready(model, act, made, rate) {
  const long = rate && made.bytes / rate >= 2 ? ` (about ${duration(made.bytes / rate)})` : '';
  return html`<p id="dump-text">${dumpText(model.session.summary)}</p>
    ${made.saved ? html`<p id="save-note">The browser copies the file now and does not say when it is done: compare the size with the one above, then check that the core has not changed meanwhile.</p>` : nothing}
    <p class="row">${'showSaveFilePicker' in window ? button('save-as', model, act, { at: 'save-picker' }) : nothing}
      ${button('recheck', model, act, { label: 'Check the core again' })}
      ${made.sha256 ? nothing : button('hash', model, act, { label: `Compute SHA-256${long}` })}</p>
    ${made.sha256 ? html`<p><output id="hash-value">SHA-256 ${made.sha256}</output></p>` : nothing}`;
}
