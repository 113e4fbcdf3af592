// A table whose columns sort: the heading of each is a button, and says by
// aria-sort which way the rows go.
import { html, nothing } from '../lit-html/lit-html.js';

/**
 * @typedef {{name: string, number?: boolean, code?: boolean}} Column
 * @typedef {string | number | {text: string, key: string | number}} Cell key: what it sorts by
 * @typedef {{column: number, way: 1 | -1} | undefined} Order
 */

/**
 * sortable is a table; sort is told which order is asked for.
 * @param {string} caption
 * @param {Column[]} columns
 * @param {Cell[][]} rows
 * @param {Order} order
 * @param {(order: Order) => void} sort
 */
export function sortable(caption, columns, rows, order, sort) {
  const heads = columns.map((column, i) => html`<th scope="col" aria-sort=${order?.column === i ? (order.way > 0 ? 'ascending' : 'descending') : nothing}>
    <button type="button" @click=${() => sort({ column: i, way: order?.column === i && order.way > 0 ? -1 : 1 })}>${column.name}</button></th>`);
  const style = (/** @type {number} */ i) => columns[i].number ? 'number' : columns[i].code ? 'mono' : '';
  const cell = (/** @type {Cell} */ value, /** @type {number} */ i) => i === 0 ? html`<th scope="row" class=${style(i)}>${text(value)}</th>` : html`<td class=${style(i)}>${text(value)}</td>`;
  return html`<table><caption>${caption}</caption><thead><tr>${heads}</tr></thead>
    <tbody>${sorted(rows, order).map((cells) => html`<tr>${cells.map(cell)}</tr>`)}</tbody></table>`;
}

/**
 * sorted gives the rows in an order; equal ones keep theirs.
 * @param {Cell[][]} rows
 * @param {Order} order
 */
export function sorted(rows, order) {
  if (!order) return rows;
  return rows.slice().sort((a, b) => order.way * compare(key(a[order.column]), key(b[order.column])));
}

/** @param {Cell} cell */
const text = (cell) => typeof cell === 'number' ? cell.toLocaleString('en') : typeof cell === 'object' ? cell.text : cell;

/** @param {Cell} cell */
const key = (cell) => typeof cell === 'object' ? cell.key : cell;

/**
 * @param {string | number} a
 * @param {string | number} b
 */
function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}
