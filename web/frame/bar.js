// The bar that stays in view: what is open and what to do with it; while something
// runs, how far it is.
import { html, nothing } from '../../lit-html/lit-html.js';
import { size } from '../format.js';
import { blockedBy } from '../verdict.js';
import { button, name } from './parts.js';

/**
 * @param {import('../store.js').State} state
 * @param {import('../panels.js').Act} act
 */
export function bar(state, act) {
  const { session, job, progress, phase } = state, busy = Boolean(job), model = { busy };
  if (job && progress && phase !== 'loading') {
    return html`<div id="work" aria-label=${job.title}>
      <strong id="work-title">${job.title}</strong>
      <progress id="bar-progress" aria-labelledby="work-title" max=${progress.total || 1} value=${progress.total ? progress.done : nothing}></progress>
      <span id="counts">${progress.stage ? progress.text : nothing}</span>
      <button type="button" id="cancel" title="(Escape)" @click=${() => act('cancel')}>Cancel</button>
    </div>`;
  }
  if (!session) return nothing;
  return html`<p id="bar-file">${name(session.name)} <span class="soft">${size(session.size, false)}</span></p>
    ${button('open', /** @type {any} */ (model), act, { label: 'Open another', at: 'another' })}
    ${button('close', /** @type {any} */ (model), act, { label: 'Close', at: 'close' })}
    ${primary(session, model, act)}`;
}

/**
 * primary is the one thing to do next.
 * @param {import('../store.js').Session} session
 * @param {{busy: boolean}} model
 * @param {import('../panels.js').Act} act
 */
function primary(session, model, act) {
  const { dump } = session;
  if (dump?.url) return html`<a id="save" class="button primary" href=${dump.url} download=${dump.name} title="(Ctrl+S)" @click=${() => act('saved')}>Save ${name(dump.name)} · ${size(dump.bytes, false)}</a>`;
  if (session.changed || session.summary.guest?.os !== 'windows') return nothing;
  if (dump) return button('prepare', /** @type {any} */ (model), act, { primary: true, label: `Prepare ${dump.name} · ${size(dump.bytes, false)}` });
  const why = blockedBy(session.summary, session.options);
  if (!why) return button('prepare', /** @type {any} */ (model), act, { primary: true, label: 'Make the dump' });
  return /PDB/.test(why) ? html`<a class="button primary" id="to-symbols" href="#panel-symbols">The PDB is needed</a>` : nothing;
}
