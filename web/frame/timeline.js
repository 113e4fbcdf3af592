// When the reports were printed, from boot to the end. The list has the same times.
import { html, nothing, svg } from '../../lit-html/lit-html.js';

/**
 * @param {import('../summary.js').Summary} s
 * @param {import('../racelist.js').Listed[]} all
 * @param {import('../racelist.js').Listed} chosen
 * @param {(index: number) => void} choose
 */
export function timeline(s, all, chosen, choose) {
  const ticks = all.flatMap((r) => (r.report?.times || []).map((at) => ({ at, r })));
  if (ticks.length < 2) return nothing;
  const end = Math.max(s.guest?.uptime_seconds || 0, ...ticks.map((t) => t.at)) || 1, x = (/** @type {number} */ at) => 4 + 988 * Math.max(0, at) / end;
  const stopped = s.guest?.uptime_seconds > 0, flight = all.filter((r) => r.unprinted);
  const pick = (/** @type {MouseEvent} */ e) => {
    const box = /** @type {Element} */ (e.currentTarget).getBoundingClientRect(), at = (e.clientX - box.left) / box.width * 1000;
    const near = [...ticks.map((t) => ({ x: x(t.at), r: t.r })), ...flight.map((r) => ({ x: 996, r }))].reduce((a, b) => (Math.abs(b.x - at) < Math.abs(a.x - at) ? b : a));
    choose(near.r.index);
  };
  const first = Math.min(...ticks.map((t) => t.at)), last = Math.max(...ticks.map((t) => t.at));
  return html`<figure class="timeline"><svg viewBox="0 0 1000 34" preserveAspectRatio="none" role="img" @click=${pick}
      aria-label=${`${ticks.length} reports printed between ${first.toFixed(2)} and ${last.toFixed(2)} seconds after boot${stopped ? `; stopped at ${end.toFixed(2)}` : ''}${flight.length ? `; ${flight.length} never printed` : ''}`}>
      <line class="axis" x1="4" x2="996" y1="30" y2="30"></line>
      ${ticks.map((t) => svg`<line class=${`tick${t.r === chosen ? ' chosen' : ''}`} x1=${x(t.at)} x2=${x(t.at)} y1=${t.r === chosen ? 2 : 10} y2="30"></line>`)}
      ${stopped ? svg`<line class="end" x1="994" x2="994" y1="0" y2="34"></line>` : nothing}${flight.length ? svg`<rect class="flight" x="989" y="4" width="10" height="14"></rect>` : nothing}</svg>
    <figcaption class="soft"><span>boot</span><span>${end.toFixed(1)} s${stopped ? ', stopped' : ''}</span></figcaption></figure>`;
}
