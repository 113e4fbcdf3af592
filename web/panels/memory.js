// Physical memory as a strip: the runs that the core holds and the holes between
// them. The axis is broken, for a hole of some GB would leave the runs no width. The
// table below has the same rows.
import { html, nothing, svg } from '../../lit-html/lit-html.js';
import { size } from '../format.js';
import { strip } from '../strip.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'memory',
  title: 'Physical memory',
  when: (summary) => (summary.memory?.runs || []).length > 0,
  view({ session: { summary }, ui }, act, set) {
    const patches = (summary.dump?.patches || []).map((p) => ({ what: `changed in the dump: ${p.what}`, pa: p.pa, bytes: p.bytes, changed: true }));
    const marks = [...summary.memory.marks || [], ...patches], { segments, place } = strip(summary.memory.runs);
    const wanted = ui.pa ? place(ui.pa) : null, at = Math.min(wanted ? wanted.segment : ui.at ?? -1, segments.length - 1), chosen = segments[at];
    const move = (/** @type {KeyboardEvent} */ e) => {
      const to = /** @type {Record<string, number>} */ ({ ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: segments.length - 1 })[e.key];
      if (to === undefined) return;
      e.preventDefault();
      set({ at: Math.max(0, Math.min(to, segments.length - 1)), pa: '' });
    };
    return html`<div id="memory-map" class="strip" role="listbox" aria-label="Runs of memory and holes between them" tabindex="0" aria-activedescendant=${chosen ? `segment-${at}` : nothing} @keydown=${move}>
        <svg viewBox="0 0 1000 64" preserveAspectRatio="none" role="presentation">${segments.map((g, i) => svg`<g role="option" id="segment-${i}" aria-selected=${String(i === at)} aria-label=${said(g)} @click=${() => set({ at: i, pa: '' })}>
            <title>${said(g)}</title><rect class=${`segment ${g.hole ? 'hole' : 'run'}${i === at ? ' chosen' : ''}`} x=${g.x} y="14" width=${g.width} height="36"></rect></g>`)}
          ${marks.map((m) => { const p = place(m.pa); return p ? svg`<rect class=${`mark ${kind(m)}`} x=${p.x} y=${'changed' in m ? 2 : 14} width=${Math.max(2.5, p.width(m.bytes))} height=${'changed' in m ? 10 : 36}></rect>` : nothing; })}
          ${wanted ? svg`<rect class="mark wanted" x=${wanted.x} y="0" width="3" height="64"></rect>` : nothing}</svg>
        <div class="scale" aria-hidden="true">${segments.map((g) => html`<span .style=${`width: ${g.width / 10}%`}>${g.width > 90 ? html`<span>${g.from}</span> ${size(g.bytes, false)}` : nothing}</span>`)}</div></div>
      <p id="memory-said" aria-live="polite">${ui.pa && !wanted ? `${ui.pa} is not in the core.` : ui.pa && wanted ? `${ui.pa}: ${marksAt(marks, ui.pa) || 'in the core'}; ${said(segments[wanted.segment])}.` : chosen ? `${said(chosen)}.` : `${size(summary.memory.bytes, false)} in ${summary.memory.runs.length.toLocaleString('en')} ${summary.memory.runs.length === 1 ? 'run' : 'runs'}${summary.memory.missing_bytes ? `; ${size(summary.memory.missing_bytes, false)} announced and missing` : ''}.`}</p>
      <p class="legend">${[['run', 'in the core'], ['hole', 'not in the core'], ...legend(marks)].map(([c, text]) => html`<span><i class=${c}></i> ${text}</span>`)}</p>
      <p class="row"><label for="memory-find">Address</label> <input type="text" id="memory-find" size="14" autocomplete="off" spellcheck="false" placeholder="0x1ad000" .value=${ui.pa || ''} @change=${(/** @type {any} */ e) => set({ pa: e.currentTarget.value.trim() })}></p>
      <details ?open=${Boolean(ui.table)} @toggle=${(/** @type {any} */ e) => e.currentTarget.open !== Boolean(ui.table) && set({ table: e.currentTarget.open })}><summary>As a table (${(segments.length + marks.length).toLocaleString('en')} rows)</summary>${ui.table ? table(segments, marks, set) : nothing}</details>`;
  },
};

/** @param {import('../strip.js').Segment} g */
function said(g) {
  const what = g.runs > 1 ? `${g.runs.toLocaleString('en')} runs, ${size(g.held, false)} of ${size(g.bytes, false)} held` : `${size(g.bytes, false)} ${g.hole ? 'not in the core' : 'in the core'}`;
  return `${g.from} to ${g.to}: ${what}`;
}

/** @param {{what: string} & Record<string, any>} m */
function kind(m) {
  if ('changed' in m) return 'patch';
  return /image/.test(m.what) ? 'image' : /root/.test(m.what) ? 'root' : /block/.test(m.what) ? 'block' : 'context';
}

const NAMES = /** @type {[string, string][]} */ ([['image', 'kernel image'], ['root', 'page-table root'], ['block', 'debugger block'], ['context', 'contexts'], ['patch', 'changed in the dump']]);

/** @param {any[]} marks */
function legend(marks) {
  const seen = new Set(/** @type {string[]} */ (marks.map(kind)));
  return NAMES.filter(([k]) => seen.has(k));
}

/**
 * @param {any[]} marks
 * @param {string} pa
 */
function marksAt(marks, pa) {
  const at = BigInt(pa);
  return marks.filter((m) => BigInt(m.pa) <= at && at < BigInt(m.pa) + BigInt(m.bytes)).map((m) => m.what).join(', ');
}

/**
 * @param {import('../strip.js').Segment[]} segments
 * @param {any[]} marks
 * @param {(change: Record<string, any>) => void} set
 */
function table(segments, marks, set) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Physical memory as a table"><table id="memory-table"><caption>Runs, holes and what is known to lie in them</caption>
    <thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">Bytes</th><th scope="col">What</th></tr></thead>
    <tbody>${segments.map((g) => html`<tr><th scope="row"><code>${g.from}</code></th><td><code>${g.to}</code></td><td class="number">${g.bytes.toLocaleString('en')}</td><td>${g.runs > 1 ? `${g.runs.toLocaleString('en')} runs` : g.hole ? 'not in the core' : 'in the core'}</td></tr>`)}
    ${marks.map((m) => html`<tr><th scope="row"><button type="button" class="plain" @click=${() => set({ pa: m.pa })}><code>${m.pa}</code></button></th><td></td><td class="number">${m.bytes.toLocaleString('en')}</td><td>${m.what}</td></tr>`)}</tbody></table></div>`;
}
