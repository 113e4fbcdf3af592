// What led to a bug check: its parameters in words, the processor, and what called
// it; each place is a link.
import { html, nothing } from '../../lit-html/lit-html.js';
import { place, parameters } from '../places.js';
import { toCPU, toModule } from './places.js';

/**
 * @param {import('../summary.js').Summary} s
 * @param {import('../panels.js').Act} act
 */
export function blame(s, act) {
  const b = s.windows?.bugcheck;
  if (!b) return troubles(s);
  const worded = parameters(b.parameters || []), cpu = (s.cpus || []).find((c) => c.opens), stack = cpu?.stack || [];
  return html`<p id="blame">${worded.length ? worded.map(({ meaning, value, at }, i) => html`${i ? ' · ' : nothing}${meaning ? `${meaning} ` : nothing}${at ? html`<strong>${toModule(s, value, at, act)}</strong>` : /^0x/.test(value) ? toModule(s, value, value, act) : value}`)
    : (b.parameters || []).map((p, i) => html`${i ? ' · ' : nothing}${toModule(s, p.value, p.value, act)}`)}</p>
    ${cpu ? html`<p id="caller">On ${toCPU(cpu.index, act)}${cpu.process ? html` in <bdi>${cpu.process.name}</bdi>` : nothing}: ${stack.slice(0, 6).map((f, i) => html`${i ? ' ← ' : nothing}${toModule(s, f.address, place(f, 'windows'), act)}`)}${stack.length > 6 ? ' …' : nothing}</p>` : nothing}`;
}

/** @param {import('../summary.js').Summary} s */
function troubles(s) {
  const list = s.linux?.troubles || [];
  return list.length ? html`<ul id="troubles">${list.slice(0, 4).map((t) => html`<li><span class="badge bad">${t.kind}</span> ${t.text}${t.seconds ? html` <span class="soft">${t.seconds.toFixed(2)} s</span>` : nothing}</li>`)}</ul>` : nothing;
}
