// What each processor was doing, as tiles; beyond so many of them as squares. The one
// that is chosen is shown with its stack and registers below.
import { html, nothing } from '../../lit-html/lit-html.js';
import { place, standing, watching } from '../places.js';
import { stackList } from '../frame/places.js';
import { of } from '../words.js';

// So many tiles are read at a glance; of more processors than SQUARES the first are
// shown, for each costs the page time.
const TILES = 32;
const SQUARES = 512;

/** @typedef {import('../summary.js').CPU} CPU */

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'processors',
  title: 'Processors',
  when: (summary) => (summary.cpus || []).length > 0,
  view({ session: { summary }, ui }, act, set) {
    const cpus = summary.cpus, dense = cpus.length > TILES, linux = summary.guest?.os === 'linux', crashed = Boolean(summary.windows?.bugcheck);
    const chosen = cpus.find((c) => c.index === ui.cpu) || (ui.cpu === undefined && !linux && cpus.find((c) => c.opens)) || null;
    const choose = (/** @type {CPU} */ c) => () => set({ cpu: chosen === c ? null : c.index });
    return html`${dense ? html`<p class="soft">${counted(cpus, linux)}</p>` : nothing}
      <div class=${dense ? 'squares' : 'tiles'}>${(ui.all ? cpus : cpus.slice(0, SQUARES)).map((c) => (dense ? square : tile)(c, describe(c, linux, crashed), chosen === c, choose(c)))}</div>
      ${cpus.length > SQUARES && !ui.all ? html`<p><button type="button" id="cpus-all" @click=${() => set({ all: true })}>Show all ${cpus.length.toLocaleString('en')}</button></p>` : nothing}
      ${chosen ? detail(summary, chosen, act) : nothing}`;
  },
};

/**
 * describe joins what is known of a processor.
 * @param {CPU} c
 * @param {boolean} linux
 * @param {boolean} crashed the guest is in a bug check
 */
function describe(c, linux, crashed) {
  const stack = c.stack || [], top = linux ? standing(stack) : stack[0], state = linux ? watching(stack) : '';
  const idle = linux ? stack.some((f) => /^(do_idle|cpu_startup_entry|default_idle)/.test(f.symbol)) : c.process?.name === 'Idle' || stack.some((f) => /Idle/.test(f.symbol));
  const at = top ? place(top, linux ? '' : 'windows') : c.pc;
  // Where its registers were recorded is where it was, not where it was halted later.
  const user = !linux && c.registers_from === 'record' && top && BigInt(top.address || 0) < 1n << 47n;
  const kind = c.opens && crashed ? 'crasher' : state === 'reporting a race' ? 'reporting' : state ? 'armed' : idle ? 'idle' : user ? 'user' : c.mode || 'unknown';
  const mode = linux ? state || (idle ? 'idle' : 'running') : idle && c.mode === 'kernel' ? 'idle' : of('modes', user ? 'user' : c.mode || 'unknown').replace(/^in | mode$/g, '');
  return { kind, mode, at, process: c.process ? c.process.name : '', mark: c.opens ? 'the dump opens here' : '' };
}

/**
 * @param {CPU} c
 * @param {ReturnType<typeof describe>} d
 * @param {boolean} chosen
 * @param {() => void} choose
 */
function tile(c, d, chosen, choose) {
  return html`<button type="button" class="tile" id="cpu-${c.index}" data-kind=${d.kind} aria-pressed=${String(chosen)} @click=${choose}>
    <span class="head"><strong>CPU ${c.index}</strong>${` ${d.mode}`}</span>${d.process ? html`<span class="what"><bdi>${d.process}</bdi></span>` : nothing}
    <code>${d.at}</code>${d.mark ? html`<span class=${`badge${d.kind === 'crasher' ? ' bad' : ''}`}>${d.mark}</span>` : nothing}</button>`;
}

/**
 * @param {CPU} c
 * @param {ReturnType<typeof describe>} d
 * @param {boolean} chosen
 * @param {() => void} choose
 */
function square(c, d, chosen, choose) {
  const text = `CPU ${c.index}: ${[d.mode, d.process, d.at, d.mark].filter(Boolean).join(', ')}`;
  return html`<button type="button" class="square" id="cpu-${c.index}" data-kind=${d.kind} aria-pressed=${String(chosen)} aria-label=${text} title=${text} @click=${choose}></button>`;
}

/**
 * @param {CPU[]} cpus
 * @param {boolean} linux
 */
function counted(cpus, linux) {
  const counts = new Map();
  for (const c of cpus) {
    const { mode } = describe(c, linux, false);
    counts.set(mode, (counts.get(mode) || 0) + 1);
  }
  return `${cpus.length.toLocaleString('en')} processors: ${[...counts].map(([mode, n]) => `${n.toLocaleString('en')} ${mode}`).join(', ')}`;
}

/**
 * detail is the processor that is chosen.
 * @param {import('../summary.js').Summary} s
 * @param {CPU} c
 * @param {import('../panels.js').Act} act
 */
function detail(s, c, act) {
  const registers = c.registers || [], live = c.live_stack || [], stack = c.stack || [];
  const text = [`CPU ${c.index}`, ...stack.map((f) => `  ${place(f, s.guest?.os)}`), ...registers.map((r) => `${r.name} ${r.value}`)].join('\n');
  return html`<div class="detail" id="cpu-detail"><h4>CPU ${c.index}${c.process ? html`, <bdi>${c.process.name}</bdi> (${c.process.pid})` : nothing}${c.why ? html`<span class="soft">${`, ${c.why}`}</span>` : nothing}</h4>
    ${stack.length || c.stack_end ? stackList(s, stack, act, { end: c.stack_end, label: `Stack of CPU ${c.index}, innermost first` }) : nothing}
    ${live.length ? html`<details><summary>Where it stood when the core was taken (${live.length})</summary>${stackList(s, live, act, { end: c.live_stack_end, label: `Live stack of CPU ${c.index}` })}</details>` : nothing}
    ${registers.length ? html`<details><summary>Registers</summary><dl class="registers">${registers.map((r) => html`<div><dt>${r.name}</dt><dd><code>${r.value}</code></dd></div>`)}</dl></details>` : nothing}
    <p><button type="button" id="cpu-copy" @click=${() => act('copy', { text })}>Copy this processor</button></p></div>`;
}
