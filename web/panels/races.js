// The race reports: the one that is chosen as two aligned stacks, and the list of all
// of them, those that no console has first.
import { html, nothing } from '../../lit-html/lit-html.js';
import { repeat } from '../../lit-html/directives/repeat.js';
import { asJSON, asMarkdown, asText } from '../reports.js';
import { hasRaces, racesText } from '../view.js';
import { race } from '../frame/race.js';
import { timeline } from '../frame/timeline.js';
import { listedRaces, matching } from '../racelist.js';

export const FORMS = /** @type {[string, string, (reports: any[]) => string][]} */ ([['text', 'text', asText], ['markdown', 'Markdown', asMarkdown], ['json', 'JSON', asJSON]]);

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'races',
  title: 'Race reports',
  when: hasRaces,
  view(model, act, set) {
    const { session: { summary }, ui } = model, all = listedRaces(summary);
    if (!all.length) return html`<p id="races-text">${racesText(summary)}</p>`;
    const shown = matching(all, ui), chosen = all[ui.at ?? 0], filtered = shown.length !== all.length, states = [...new Set(all.map((r) => r.state))];
    const reports = shown.flatMap((r) => (r.report ? [r.report] : []));
    const retyped = all.filter((r) => r.report?.grade === 'retyped').length;
    const move = (/** @type {KeyboardEvent} */ e) => {
      const i = shown.indexOf(chosen), to = /** @type {Record<string, number>} */ ({ ArrowDown: i + 1, ArrowUp: i < 0 ? 0 : i - 1, Home: 0, End: shown.length - 1, PageDown: i + 8, PageUp: i - 8 })[e.key];
      if (to === undefined || !shown.length) return;
      e.preventDefault();
      const next = shown[Math.max(0, Math.min(to, shown.length - 1))];
      set({ at: next.index, text: ui.text });
      const list = e.currentTarget;
      queueMicrotask(() => queueMicrotask(() => /** @type {Element} */ (list).querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' })));
    };
    return html`${timeline(summary, all, chosen, (index) => set({ at: index }))}
      ${race(model, chosen, FORMS, act, set)}
      <div id="races-tools"><p class="row"><label for="races-filter">Show only titles with the function</label> <input type="text" id="races-filter" size="18" autocomplete="off" spellcheck="false" .value=${ui.find || ''} @input=${(/** @type {any} */ e) => set({ find: e.currentTarget.value })}>
        ${states.map((s) => html`<button type="button" class="filter" data-state=${s} aria-pressed=${String(ui.state === s)} @click=${() => set({ state: ui.state === s ? '' : s })}>${s.replace('-', ' ')} ${all.filter((r) => r.state === s).reduce((n, r) => n + r.count, 0).toLocaleString('en')}</button>`)}
        ${retyped ? html`<button type="button" class="filter" data-grade="retyped" aria-pressed=${String(ui.grade === 'retyped')} @click=${() => set({ grade: ui.grade ? '' : 'retyped' })}>retyped ${retyped}</button>` : nothing}
        <span id="races-count" class="soft">${filtered ? `${shown.length.toLocaleString('en')} of ${all.length.toLocaleString('en')}` : nothing}</span></p>
        <p class="row">${FORMS.map(([id, name, form], i) => html`<button type="button" id="races-copy-${id}" @click=${() => act('copy', { text: form(reports) })}>${i ? `as ${name}` : `Copy ${filtered ? 'those shown' : 'all'} as text`}</button>`)}</p></div>
      ${shown.length === 0 ? html`<p id="races-none">${ui.find ? `No title has “${ui.find.trim()}”.` : 'None is of this kind.'}</p>` : nothing}
      <ul id="races-list" role="listbox" aria-label="Race reports" tabindex="0" aria-activedescendant=${shown.includes(chosen) ? `race-${chosen.index}` : nothing} @keydown=${move} ?hidden=${shown.length === 0}>
        ${repeat(shown, (r) => r.index, (r) => html`<li role="option" id="race-${r.index}" aria-selected=${String(r === chosen)} @click=${() => set({ at: r.index })}><span class=${`badge${r.unprinted ? ' bad' : ''}`}>${r.state.replace('-', ' ')}</span>
          <span class="title">${r.title}</span> <span class="times">×${r.count.toLocaleString('en')}</span> <span class="when">${r.seconds === null ? r.state === 'printed' ? '' : 'never printed' : `${r.seconds.toFixed(2)} s`}</span></li>`)}</ul>`;
  },
};
