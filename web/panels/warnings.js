// What one should know of a result that came about all the same: a chip each, which
// opens its sentence and the next step.
import { html, nothing } from '../../lit-html/lit-html.js';
import { copyLine } from '../frame/parts.js';
import { steps } from '../frame/notice.js';

// What is missing of the file comes before what follows from it.
const FIRST = ['truncated', 'file-changed'];

// So many are looked at; a hostile file has thousands.
const MOST = 100;

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'warnings',
  title: 'To know',
  when: (summary) => summary.warnings.length > 0,
  view({ session, catalogue, ui }, act, set) {
    const list = session.summary.warnings, first = list.filter((w) => FIRST.includes(w.code));
    const all = [...first, ...list.filter((w) => !FIRST.includes(w.code))], shown = ui.all ? all : all.slice(0, MOST);
    return html`<ul id="warning-list" class="chips">${shown.map((w) => html`<li class=${FIRST.includes(w.code) ? 'grave' : ''}>
        <details ?open=${FIRST.includes(w.code)}><summary>${w.text.replace(/^[a-z]/, (letter) => letter.toUpperCase())}. <code>${w.code}</code></summary>
        ${help(catalogue?.[w.code]?.remedy || [], session.name, act)}</details></li>`)}</ul>
      ${all.length > shown.length ? html`<p><button type="button" id="warnings-all" @click=${() => set({ all: true })}>Show all ${all.length.toLocaleString('en')}</button></p>` : nothing}`;
  },
};

/**
 * @param {import('../store.js').Step[]} remedy
 * @param {string} subject
 * @param {import('../panels.js').Act} act
 */
function help(remedy, subject, act) {
  const list = steps(remedy, subject);
  return list.length ? html`<ul class="steps">${list.map((s) => html`<li>${s.text}${s.text && s.command ? ':' : nothing}${s.command ? copyLine(s.command, act) : nothing}</li>`)}</ul>` : html`<p class="soft">Nothing is to be done about it.</p>`;
}
