// A table that is filtered, sorted and copied, for hundreds of rows: it scrolls in
// place.
import { html, nothing } from '../../lit-html/lit-html.js';
import { sorted } from '../table.js';

// More rows at once would hold the page's thread up; a button shows the rest.
const MOST = 100;

/**
 * @typedef {object} Row
 * @property {string} id of its element
 * @property {import('../table.js').Cell[]} cells
 * @property {unknown[]} [shown] what stands in the cells, where that is more than text
 */

/**
 * listed shows rows. ui has find, order, all.
 * @param {{id: string, label: string, caption: string, columns: import('../table.js').Column[], rows: Row[]}} what
 * @param {Record<string, any>} ui
 * @param {import('../panels.js').Act} act
 * @param {(change: Record<string, any>) => void} set
 */
export function listed({ id, label, caption, columns, rows }, ui, act, set) {
  const find = (ui.find || '').trim().toLowerCase(), text = (/** @type {import('../table.js').Cell} */ c) => typeof c === 'object' ? c.text : String(c);
  const has = rows.filter((r) => !find || r.cells.some((c) => text(c).toLowerCase().includes(find)));
  const order = ui.order, byCells = new Map(has.map((r) => [r.cells, r]));
  const list = sorted(has.map((r) => r.cells), order).map((cells) => /** @type {Row} */ (byCells.get(cells))), shown = ui.all ? list : list.slice(0, MOST);
  const tsv = () => [columns.map((c) => c.name).join('\t'), ...list.map((r) => r.cells.map(text).join('\t'))].join('\n') + '\n';
  const cell = (/** @type {Row} */ r, /** @type {number} */ i) => {
    const value = r.shown?.[i] ?? (typeof r.cells[i] === 'number' && columns[i].number ? r.cells[i].toLocaleString('en') : text(r.cells[i])), style = columns[i].number ? 'number' : '';
    return i === 0 ? html`<th scope="row" class=${style}>${value}</th>` : html`<td class=${style}>${value}</td>`;
  };
  return html`<p class="row tools">${rows.length > 8 || find ? html`<label for="${id}-find">${label}</label> <input type="text" id="${id}-find" size="14" autocomplete="off" spellcheck="false" .value=${ui.find || ''} @input=${(/** @type {any} */ e) => set({ find: e.currentTarget.value })}>` : nothing}
      <span id="${id}-count" class="soft">${find ? `${has.length.toLocaleString('en')} of ${rows.length.toLocaleString('en')}` : rows.length.toLocaleString('en')}</span>
      <button type="button" id="${id}-copy" @click=${() => act('copy', { text: tsv() })}>Copy as TSV</button></p>
    <div class="scroll" tabindex="0" role="region" aria-label=${`${caption}, a table`}><table id="${id}-table"><caption class="heard">${caption}</caption>
      <thead><tr>${columns.map((c, i) => html`<th scope="col" aria-sort=${order?.column === i ? (order.way > 0 ? 'ascending' : 'descending') : nothing} class=${c.number ? 'number' : ''}><button type="button" @click=${() => set({ order: { column: i, way: order?.column === i && order.way > 0 ? -1 : 1 } })}>${c.name}</button></th>`)}</tr></thead>
      <tbody>${shown.map((r) => html`<tr id=${r.id} tabindex="-1">${columns.map((_, i) => cell(r, i))}</tr>`)}</tbody></table>
      ${list.length > shown.length ? html`<p><button type="button" id="${id}-all" @click=${() => set({ all: true })}>Show all ${list.length.toLocaleString('en')}</button></p>` : nothing}
      ${find && has.length === 0 ? html`<p>Nothing has “${ui.find.trim()}”.</p>` : nothing}</div>`;
}
