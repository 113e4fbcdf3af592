// What one should know of a result that came about all the same.
import { html } from '../../lit-html/lit-html.js';

// What is missing of the file comes before what follows from it.
const FIRST = ['truncated', 'file-changed'];

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'warnings',
  title: 'Warnings',
  when: (summary) => summary.warnings.length > 0,
  view({ session }) {
    const list = session.summary.warnings, first = list.filter((w) => FIRST.includes(w.code));
    return html`<ul id="warning-list">${[...first, ...list.filter((w) => !FIRST.includes(w.code))].map((w) =>
      html`<li class=${FIRST.includes(w.code) ? 'grave' : ''}>${w.text.replace(/^[a-z]/, (letter) => letter.toUpperCase())}. <code>${w.code}</code></li>`)}</ul>`;
  },
};
