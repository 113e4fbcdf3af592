// One race: its two sides as aligned stacks, what was changed, where it comes from.
import { html, nothing } from '../../lit-html/lit-html.js';
import { changedBits, place, sharedFrom } from '../places.js';
import { toCPU, toModule } from './places.js';

/** @typedef {import('../summary.js').Access} Access */

/**
 * race shows what is chosen of the list.
 * @param {import('../panels.js').Model} model
 * @param {import('../racelist.js').Listed} listed
 * @param {[string, string, (reports: any[]) => string][]} forms
 * @param {import('../panels.js').Act} act
 * @param {(change: Record<string, any>) => void} set
 */
export function race({ session: { summary }, ui }, { report, fragment, title, state, seconds, unprinted }, forms, act, set) {
  const head = html`<h4 id="race-title">${title} <span class=${`badge${unprinted ? ' bad' : ''}`}>${state.replace('-', ' ')}</span></h4>`;
  if (!report) return html`<div id="race" class="fragment" aria-labelledby="race-title" role="group">${head}<p id="race-label">Not a whole report: ${fragment?.reason}</p><pre id="race-text" tabindex="0" aria-label=${title}>${fragment?.text}</pre></div>`;
  const [left, right] = report.accesses || [], shared = left && right ? sharedFrom(left.stack, right.stack) : 0, open = Boolean(ui.text) || !left;
  return html`<div id="race" aria-labelledby="race-title" role="group">${head}
    <p id="race-label" class="soft">${report.label}${report.rule ? ` · suppressed: ${report.rule}` : ''}</p>
    ${(report.differences || []).length ? html`<ul id="race-differences">${report.differences.map((d) => html`<li>${d}</li>`)}</ul>` : nothing}
    ${about(right || left)}
    ${left ? html`<div class="sides">${side(summary, left, shared, right, act)}${right ? side(summary, right, shared, left, act) : unknownSide(report)}</div>
      ${report.accesses.slice(2).map((a) => side(summary, a, 0, undefined, act))}
      <p id="race-value"><span class="soft">Address</span> ${toModule(summary, left.address, left.address || 'not known', act)}${changed(report.value)}</p>` : nothing}
    ${(report.unknown || []).length ? html`<p class="soft">Not known: ${report.unknown.join(', ')}.</p>` : nothing}
    <p class="row">${left ? html`<button type="button" id="race-show-text" aria-expanded=${String(open)} @click=${() => set({ text: !ui.text })}>${open ? 'Hide the text' : 'Show as text'}</button>` : nothing}
      ${seconds !== null || state === 'printed' ? html`<button type="button" id="race-log" @click=${() => act('log-line', { title: report.title, seconds })}>Show in the log</button>` : nothing}
      ${forms.map(([id, name, form]) => html`<button type="button" data-form=${id} aria-label="Copy as ${name}: this report" @click=${() => act('copy', { text: form([report]) })}>Copy as ${name}</button>`)}</p>
    ${open ? html`<pre id="race-text" tabindex="0" aria-label=${report.title}>${report.text}</pre>` : nothing}</div>`;
}

/**
 * side is one access with its stack. What both stacks share at their outer end stands
 * on the same lines, and is dimmed.
 * @param {import('../summary.js').Summary} s
 * @param {Access} a
 * @param {number} shared
 * @param {Access | undefined} other
 * @param {import('../panels.js').Act} act
 */
function side(s, a, shared, other, act) {
  const own = a.stack.length - shared, blank = other ? Math.max(0, other.stack.length - shared - own) : 0;
  const frame = (/** @type {import('../summary.js').Frame} */ f, /** @type {string} */ style) => html`<li class=${style}>${toModule(s, f.address, place(f), act)}${f.inline ? html` <span class="soft">(inlined)</span>` : nothing}${f.file ? html` <span class="soft">${f.file}:${f.line}</span>` : nothing}</li>`;
  const cpu = (s.cpus || []).some((c) => c.index === a.cpu) ? toCPU(a.cpu, act) : `CPU ${a.cpu}`;
  const marks = [a.marked ? 'marked' : a.assert ? '' : 'plain', a.scoped ? 'scoped' : '', a.reordered ? 'reordered' : ''].filter(Boolean).join(', ');
  return html`<div class="side"><p><strong>${a.assert ? `assert ${a.kind}` : a.kind}</strong> of ${a.size || '?'} ${a.size === 1 ? 'byte' : 'bytes'}${marks ? html` <span class="badge">${marks}</span>` : nothing} · ${a.by}${a.pid === null ? '' : ` ${a.pid}`} · ${cpu}</p>
    <ol class="stack" aria-label=${`Stack of the ${a.kind} on CPU ${a.cpu}, innermost first`}>${a.stack.slice(0, own).map((f) => frame(f, ''))}${Array.from({ length: blank }, () => html`<li class="blank" role="presentation" aria-hidden="true"></li>`)}${a.stack.slice(own).map((f) => frame(f, 'shared'))}</ol></div>`;
}

/** @param {import('../summary.js').Report} report */
function unknownSide(report) {
  return html`<div class="side"><p><strong>unknown origin</strong></p><p class="soft">The other side was not seen: ${/unknown origin/.test(report.text) ? 'a device, or code that KCSAN does not watch.' : 'nothing of it is left.'}</p></div>`;
}

// about is what the address is: of a report that was printed before the core was
// taken, what lies there now.
/** @param {Access | undefined} access */
function about(access) {
  const o = access?.object;
  return o ? html`<p id="race-object" data-kind=${o.kind} data-certain=${String(o.certain)}><span class="soft">${o.now ? 'There now' : 'Raced on'}</span> ${o.text}</p>` : nothing;
}

/** @param {import('../summary.js').Value | null} value */
function changed(value) {
  if (!value) return nothing;
  const { before, after, changed: differs } = changedBits(value.old, value.new);
  const marked = (/** @type {string} */ digits) => html`<code>0x${[...digits].map((d, i) => (differs[i] ? html`<mark>${d}</mark>` : d))}</code>`;
  return html` · <span class="soft">value changed</span> ${marked(before)} → ${marked(after)}${value.mask ? html` · <span class="soft">bits of interest</span> <code>${value.mask}</code>` : nothing}`;
}
