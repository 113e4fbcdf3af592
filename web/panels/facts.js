// What was found, as terms and values.
import { html } from '../../lit-html/lit-html.js';
import { facts as list } from '../view.js';

/** @type {import('../panels.js').Panel} */
export const facts = {
  id: 'facts',
  title: 'What was found',
  when: () => true,
  view: ({ session }) => html`<dl id="facts">${list(session.summary).map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>`,
};
