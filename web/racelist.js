// The race reports as one list: those that no console has first, pieces last.
import { UNPRINTED } from './finding.js';
import { once } from './memo.js';

/**
 * @typedef {object} Listed
 * @property {number} index in this list
 * @property {string} state of the report; 'not whole' of a piece
 * @property {string} title
 * @property {number} count
 * @property {number | null} seconds since boot, of the first
 * @property {boolean} unprinted
 * @property {import('./summary.js').Report | null} report
 * @property {import('./summary.js').Fragment | null} fragment
 */

const ORDER = [...UNPRINTED, 'printed', 'residue'];

/** listedRaces gives the list of a summary. */
export const listedRaces = once((/** @type {import('./summary.js').Summary} */ summary) => {
  const rank = (/** @type {string} */ state) => (ORDER.indexOf(state) + ORDER.length + 1) % (ORDER.length + 1);
  const list = [
    ...(summary.reports || []).map((report) => ({
      state: report.state, title: report.title, count: report.count || 1, seconds: report.times?.[0] ?? null, unprinted: UNPRINTED.includes(report.state), report, fragment: null,
    })).sort((a, b) => rank(a.state) - rank(b.state)),
    ...(summary.fragments || []).map((fragment) => ({
      state: 'not whole', title: fragment.title || 'a report without its title', count: fragment.count, seconds: null, unprinted: false, report: null, fragment,
    })),
  ];
  return /** @type {Listed[]} */ (list.map((r, index) => ({ index, ...r })));
});

/**
 * matching gives those that the filters let through.
 * @param {Listed[]} list
 * @param {{find?: string, state?: string, grade?: string}} filters
 */
export function matching(list, { find = '', state = '', grade = '' }) {
  const text = find.trim().toLowerCase();
  return list.filter((r) => (!text || r.title.toLowerCase().includes(text)) && (!state || r.state === state) && (!grade || r.report?.grade === grade));
}
