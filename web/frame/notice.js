// The one way a fault, a refusal or a word is shown: what it is about, the
// sentence, the next steps, and what can be done about it here.
import { html, nothing } from '../../lit-html/lit-html.js';
import { copyLine, name } from './parts.js';
import { quote, dumpOf } from '../format.js';

/** @typedef {import('../store.js').Notice} Notice */

/** @param {string} text */
const capital = (text) => text.replace(/^[a-z]/, (letter) => letter.toUpperCase());

/**
 * steps are those that help on a page, as words and commands.
 * @param {import('../store.js').Step[]} remedy
 * @param {string} [subject]
 * @returns {{text: string, command: string}[]}
 */
export function steps(remedy, subject) {
  const words = (/** @type {string} */ text) => text.replaceAll('{file}', subject || 'FILE').replaceAll('{dump}', subject ? dumpOf(subject) : 'OUT.dmp');
  const code = (/** @type {string} */ text) => text.replaceAll('{file}', subject ? quote(subject) : 'FILE').replaceAll('{dump}', subject ? quote(dumpOf(subject)) : 'OUT.dmp');
  return (remedy || []).map((step) => typeof step === 'string' ? { text: step } : step)
    .filter((step) => !step.for || step.for.length === 0 || step.for.includes('page'))
    .map((step) => ({ text: capital(words(step.text || '')), command: code(step.command || '') }));
}

/**
 * notice shows one. A fault is an alert; a word is none, for it is heard already.
 * @param {Notice | undefined} n
 * @param {import('../panels.js').Act} act
 * @param {boolean} busy
 */
export function notice(n, act, busy) {
  if (!n) return nothing;
  const offers = (n.offers || []).map((o) => html`<button type="button" data-offer=${o.command} ?disabled=${busy} @click=${() => act(o.command, o.arg)}>${o.name}</button>`);
  const close = html`<button type="button" class="close" aria-label="Close this" @click=${() => act('dismiss', n.at)}>✕</button>`;
  if (!n.fault) return html`<div class="notice word" data-notice=${n.at}><p>${n.text}</p>${offers.length ? html`<p class="row">${offers}</p>` : nothing}${close}</div>`;
  const { code, text, remedy } = n.fault;
  return html`<section class="notice fault" role="alert" data-notice=${n.at} data-code=${code}>
    <h2>${n.subject ? html`${name(n.subject)}: ` : nothing}<span class="sentence">${n.subject ? text : capital(text)}</span>.</h2>
    ${n.text ? html`<p class="also">${capital(n.text)}</p>` : nothing}
    <ul class="steps">${steps(remedy, n.subject).map((s) => html`<li>${s.text}${s.text && s.command ? ':' : nothing}${s.command ? copyLine(s.command, act) : nothing}</li>`)}</ul>
    <p class="row">${offers}<button type="button" data-copy="details" @click=${() => act('copy-details', n)}>Copy details</button>
      <button type="button" data-copy="redacted" @click=${() => act('copy-details-redacted', n)}>without addresses</button><span class="code">Code <code>${code}</code></span></p>
    ${close}
  </section>`;
}
