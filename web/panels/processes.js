// The processes of a Windows guest.
import { html, nothing } from '../../lit-html/lit-html.js';
import { listed } from '../frame/list.js';
import { toCPU, toMap } from '../frame/places.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'processes',
  title: 'Processes',
  half: true,
  when: (summary) => (summary.windows?.processes || []).length > 0,
  view({ session: { summary }, ui }, act, set) {
    const list = summary.windows?.processes || [];
    const rows = list.map((p, i) => {
      const on = (summary.cpus || []).filter((c) => c.process?.pid === p.pid && c.process?.name === p.name);
      return {
        id: `process-${i}`,
        cells: [{ text: String(p.pid), key: p.pid }, p.name, p.dtb],
        shown: [String(p.pid), html`<bdi>${p.name}</bdi>${on.slice(0, 8).map((c) => html` <span class="badge">${toCPU(c.index, act)}</span>`)}`, p.dtb ? toMap(p.dtb, p.dtb, act) : nothing],
      };
    });
    return listed({ id: 'processes', label: 'Find', caption: 'Processes', columns: [{ name: 'PID', number: true }, { name: 'Name' }, { name: 'Page tables' }], rows }, ui, act, set);
  },
};
