// How it was found: addresses and ways, for who wants to follow or doubts it.
import { html } from '../../lit-html/lit-html.js';
import { facts } from '../view.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'facts',
  title: 'How it was found',
  side: true,
  when: () => true,
  view: ({ session }) => html`<details ?open=${Boolean(session.summary.error)}><summary>What was found, and by what</summary><dl id="facts">${facts(session.summary).map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl></details>`,
};
