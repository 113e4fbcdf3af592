// What is known of the file that is open: the heading, what there is to say, and
// the panels in their order.
import { html, nothing } from '../../lit-html/lit-html.js';
import { guard } from '../../lit-html/directives/guard.js';
import { repeat } from '../../lit-html/directives/repeat.js';
import { panels } from '../panels.js';
import { headline, verdict } from '../view.js';
import { notice } from './notice.js';
import { blame } from './blame.js';
import { finding, guestLine } from '../finding.js';

/**
 * result draws no more than so many panels: with much to show each takes a task of
 * its own.
 * @param {import('../store.js').State} state
 * @param {import('../panels.js').Act} act
 * @param {number} [most]
 */
export function result(state, act, most = Infinity) {
  const { session, job, notices, next } = state, busy = Boolean(job);
  const shown = session ? panels.filter((p) => p.when(session.summary, session)).slice(0, most) : [], places = new Set(shown.map((p) => p.id));
  // What belongs to a panel that is not there is said above.
  const above = notices.filter((n) => !places.has(n.at) && (n.at !== 'start' || session));
  const meanwhile = next.length && !busy ? html`<div class="notice word" id="next"><p>${next.flatMap((n) => [...n.files.map((f) => f.name), ...n.folders]).join(', ')} came while something ran.</p>
    <p class="row"><button type="button" id="open-next" @click=${() => act('open-next')}>Open ${next.flatMap((n) => n.files.map((f) => f.name))[0] || 'it'}</button>
    <button type="button" @click=${() => act('drop-next')}>Leave it</button></p></div>` : nothing;
  return html`<div id="notices">${state.update && !busy ? html`<div class="notice word" id="newer"><p>A newer version of this page is there.</p>
      <p class="row"><button type="button" @click=${() => act('reload')}>Load it</button></p></div>` : nothing}
    ${meanwhile}${repeat(above, (n) => n.at, (n) => notice(n, act, busy))}</div>
    ${session ? html`<div id="opened">
      ${found(session, act)}
      <div id="panels">${[false, true].map((side) => html`<div class=${`column${side ? '' : ' wide-column'}`}>${repeat(shown.filter((p) => Boolean(p.side) === side), (p) => `${session.id} ${p.id}`, (p) => frame(p, state, act))}</div>`)}</div>
    </div>` : nothing}`;
}

/**
 * found is the verdict: the finding in the largest type, what led to it, the guest.
 * @param {import('../store.js').Session} session
 * @param {import('../panels.js').Act} act
 */
function found(session, act) {
  const { summary } = session, { word, kind, text } = finding(summary), guest = guestLine(summary);
  return html`<div id="verdict-box" data-kind=${kind}><h2 id="result-title" tabindex="-1">${text.toLowerCase().includes(word.toLowerCase()) ? nothing : html`<span class="word">${word}: </span>`}${text}</h2>
    ${blame(summary, act)}
    <p id="opened-guest" class="soft"><span id="opened-name"><bdi>${headline(summary)}</bdi></span>${guest ? ` · ${guest}` : nothing}</p>
    <p id="verdict">${verdict(session)}</p></div>`;
}

/**
 * frame draws a panel, and draws it again only when what it may look at is another.
 * @param {import('../panels.js').Panel} panel
 * @param {import('../store.js').State} state
 * @param {import('../panels.js').Act} act
 */
function frame(panel, state, act) {
  const { build, offline, hashRate, notices, catalogue } = state, busy = Boolean(state.job), ui = state.ui[panel.id] || {}, note = notices.find((n) => n.at === panel.id);
  const session = /** @type {import('../store.js').Session} */ (state.session);
  return guard([session, ui, note, busy, hashRate, catalogue], () => {
    const set = (/** @type {Record<string, any>} */ change) => act('ui', { panel: panel.id, change });
    return html`<section class=${`panel${panel.half ? ' half' : ''}`} id="panel-${panel.id}" aria-labelledby="title-${panel.id}">
      <h3 id="title-${panel.id}">${panel.title}</h3>
      ${notice(note, act, busy)}
      ${panel.view({ session, ui, busy, build, offline, hashRate, catalogue }, act, set)}</section>`;
  });
}
