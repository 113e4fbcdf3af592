// Lines that open a Linux core in a debugger.
import { html } from '../../lit-html/lit-html.js';
import { copyLine } from '../frame/parts.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'debuggers',
  title: 'In a debugger, with this kernel’s vmlinux',
  side: true,
  when: (summary) => Boolean(summary.linux?.detail?.commands?.length),
  view: ({ session }, act) => html`<div id="linux-commands">${(session.summary.linux?.detail?.commands || []).map((line) => copyLine(line, act))}</div>`,
};
