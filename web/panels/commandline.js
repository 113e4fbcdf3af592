// The same job on the command line.
import { html } from '../../lit-html/lit-html.js';
import { copyLine } from '../frame/parts.js';
import { commandLine } from '../view.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'command',
  title: 'The same on the command line',
  side: true,
  when: (_, session) => !session.pasted, // there is no file of that name
  view: ({ session }, act) => html`<div id="command">${copyLine(commandLine(session.summary, session.options), act)}</div>`,
};
