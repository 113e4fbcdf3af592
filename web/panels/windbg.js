// The next steps in the debugger, to paste.
import { html } from '../../lit-html/lit-html.js';
import { copyLine } from '../frame/parts.js';
import { windbgLines } from '../view.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'windbg',
  title: 'In WinDbg',
  side: true,
  when: (_, session) => Boolean(session.dump),
  view: ({ build }, act) => html`<div id="windbg">${windbgLines(new URL('symbols', document.baseURI), build.symbols === true).map((line) => copyLine(line, act))}</div>`,
};
