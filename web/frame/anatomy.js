// Of what a dump is made: header, runs, changed pages. Hovering or walking over a
// piece says where it lies in the dump and in the file it comes from.
import { html, nothing, svg } from '../../lit-html/lit-html.js';
import { size } from '../format.js';
import { toMap } from './places.js';

// More runs than that are drawn as one.
const MOST = 12;

/**
 * anatomy is the bar and the list of changes; nothing before a dump is described.
 * @param {import('../summary.js').Summary} s
 * @param {Record<string, any>} ui
 * @param {import('../panels.js').Act} act
 * @param {(change: Record<string, any>) => void} set
 */
export function anatomy(s, ui, act, set) {
  const { dump, memory } = s;
  if (!dump) return nothing;
  const held = memory.runs.reduce((n, r) => n + r.bytes, 0), header = dump.bytes - held, patches = dump.patches || [];
  if (header < 0 || held < memory.bytes) return changes(patches, act); // not all runs are listed
  const few = memory.runs.length <= MOST, pieces = /** @type {{name: string, from: number, bytes: number, file: number | null, kind: string}[]} */ ([{ name: 'header', from: 0, bytes: header, file: null, kind: 'header' }]);
  let at = header;
  for (const [i, r] of (few ? memory.runs : [{ start: memory.runs[0].start, bytes: held, file_offset: null }]).entries()) {
    pieces.push({ name: few ? `run ${i + 1} at ${r.start}` : `${memory.runs.length.toLocaleString('en')} runs`, from: at, bytes: r.bytes, file: r.file_offset, kind: 'run' });
    at += r.bytes;
  }
  const weights = pieces.map((p) => Math.log2(p.bytes / 4096 + 2)), all = weights.reduce((a, b) => a + b, 0), chosen = pieces[ui.piece];
  let x = 0;
  const drawn = pieces.map((p, i) => {
    const width = 1000 * weights[i] / all, from = x;
    x += width;
    return { ...p, x: from, width };
  });
  const said = (/** @type {typeof pieces[0]} */ p) => `${p.name}: ${size(p.bytes, false)}, at ${p.from.toLocaleString('en')} of the dump${p.file === null || p.file === undefined ? '' : `, at ${p.file.toLocaleString('en')} of the file`}`;
  return html`<svg class="anatomy" viewBox="0 0 1000 40" preserveAspectRatio="none" role="img" aria-label=${`The dump: ${pieces.map(said).join('; ')}`}>
      ${drawn.map((p, i) => svg`<rect class=${`piece ${p.kind}${i === ui.piece ? ' chosen' : ''}`} x=${p.x} y="2" width=${p.width} height="36" @mouseenter=${() => set({ piece: i })} @click=${() => set({ piece: i })}><title>${said(p)}</title></rect>`)}</svg>
    <p class="soft" id="dump-anatomy">${chosen ? `${said(chosen)}.` : `Header ${size(header, false)} | ${memory.runs.length.toLocaleString('en')} ${memory.runs.length === 1 ? 'run' : 'runs'}, ${size(held, false)} | ${patches.length} ${patches.length === 1 ? 'place' : 'places'} changed.`}</p>
    ${changes(patches, act)}`;
}

/**
 * @param {import('../summary.js').Patch[]} patches
 * @param {import('../panels.js').Act} act
 */
function changes(patches, act) {
  return patches.length ? html`<details id="patches"><summary>What the dump changes (${patches.length})</summary><ul>${patches.map((p) => html`<li>${p.what}: ${size(p.bytes, false)} at ${toMap(p.pa, p.pa, act)}</li>`)}</ul></details>` : nothing;
}
