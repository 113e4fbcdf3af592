// The race reports of a Linux guest: grouped by title, filtered, copied.
import { html, nothing } from '../../lit-html/lit-html.js';
import { repeat } from '../../lit-html/directives/repeat.js';
import { asJSON, asMarkdown, asText, label } from '../reports.js';
import { hasRaces, racesText } from '../view.js';

const FORMS = /** @type {[string, string, (reports: any[]) => string][]} */ ([['text', 'text', asText], ['markdown', 'Markdown', asMarkdown], ['json', 'JSON', asJSON]]);

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'races',
  title: 'Race reports',
  when: hasRaces,
  view({ session, ui }, act, set) {
    const { reports, fragments = [] } = session.summary, find = (ui.find || '').trim().toLowerCase();
    const has = (/** @type {{title: string}} */ r) => !find || r.title.toLowerCase().includes(find), shown = reports.filter(has), pieces = fragments.filter(has), groups = grouped(shown);
    const copy = (/** @type {any[]} */ list, /** @type {(l: any[]) => string} */ form) => () => act('copy', { text: form(list) });
    return html`<p id="races-text">${racesText(session.summary)}</p>
      ${reports.length + fragments.length === 0 ? nothing : html`<div id="races-tools">
        <p class="row"><label for="races-filter">Show only titles with the function</label> <input type="text" id="races-filter" autocomplete="off" spellcheck="false" .value=${ui.find || ''} @input=${(/** @type {any} */ e) => set({ find: e.currentTarget.value })}>
          <span id="races-count">${find ? `${shown.length + pieces.length} of ${reports.length + fragments.length}` : nothing}</span></p>
        <p class="row">${FORMS.map(([id, name, form], i) => html`<button type="button" id="races-copy-${id}" @click=${copy(shown, form)}>${i ? `as ${name}` : 'Copy all shown as text'}</button>`)}</p></div>`}
      ${find && shown.length + pieces.length === 0 ? html`<p id="races-none">No title has “${ui.find.trim()}”.</p>` : nothing}
      <div id="races-list">${repeat(groups, ([title]) => title, ([title, list]) => html`<details ?open=${groups.length === 1}>
        <summary>${title} (${list.reduce((n, r) => n + (r.count || 1), 0)})</summary>
        ${list.map((report) => html`<div><p>${label(report)}</p>
          <p class="row">${FORMS.map(([id, name, form]) => html`<button type="button" data-form=${id} aria-label="Copy as ${name}: ${report.title}" @click=${copy([report], form)}>Copy as ${name}</button>`)}</p>
          <pre tabindex="0" aria-label=${report.title}>${report.text}</pre></div>`)}</details>`)}
        ${pieces.map(piece)}</div>`;
  },
};

/**
 * piece shows what is no whole report, with the reason.
 * @param {import('../summary.js').Fragment} fragment
 */
function piece({ title, count, reason, text }) {
  const head = `Not whole: ${title || 'a report without its title'} (${count})`;
  return html`<details class="fragment"><summary>${head}</summary><p>Not a whole report: ${reason}</p><pre tabindex="0" aria-label=${head}>${text}</pre></details>`;
}

/**
 * @param {any[]} reports
 * @returns {[string, any[]][]}
 */
function grouped(reports) {
  const groups = new Map();
  for (const report of reports) {
    if (!groups.has(report.title)) groups.set(report.title, []);
    groups.get(report.title).push(report);
  }
  return [...groups];
}
