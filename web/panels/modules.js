// Loaded modules of either system, with a badge on those that the finding points to
// and on those that a processor stands in.
import { html, nothing } from '../../lit-html/lit-html.js';
import { listed } from '../frame/list.js';
import { toCPU } from '../frame/places.js';
import { blamedModule } from '../finding.js';
import { moduleAt, modulesOf } from '../places.js';
import { size } from '../format.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'modules',
  title: 'Modules',
  half: true,
  when: (summary) => summary.guest?.os === 'windows' && modulesOf(summary).length > 0,
  view({ session: { summary }, ui }, act, set) {
    const blamed = blamedModule(summary), stands = new Map();
    for (const c of summary.cpus || []) {
      const index = moduleAt(summary, c.stack?.[0]?.address || c.pc);
      if (index >= 0) stands.set(index, [...stands.get(index) || [], c.index]);
    }
    const rows = modulesOf(summary).map((m, i) => ({
      id: `module-${i}`,
      cells: [{ text: m.name, key: m.name.toLowerCase() }, m.base, { text: String(m.size), key: m.size }],
      shown: [html`<bdi>${m.name}</bdi>${i === blamed ? html` <span class="badge bad">in the bug check</span>` : nothing}${(stands.get(i) || []).slice(0, 8).map((/** @type {number} */ n) => html` <span class="badge">${toCPU(n, act)}</span>`)}`,
        html`<code>${m.base}</code>`, size(m.size, false)],
    }));
    return listed({ id: 'modules', label: 'Find', caption: 'Loaded modules', columns: [{ name: 'Name' }, { name: 'Base' }, { name: 'Size', number: true }], rows }, ui, act, set);
  },
};
