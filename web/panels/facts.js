// What was found, as terms and values.
import { html } from '../../lit-html/lit-html.js';
import { facts } from '../view.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'facts',
  title: 'What was found',
  when: () => true,
  view: ({ session }) => html`<dl id="facts">${facts(session.summary).map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>`,
};
