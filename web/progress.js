// Counts to words: stage, done of total, rate and time left.
import { size, duration } from './format.js';

// Stages that count bytes; all others count items.
const BYTES = /^(fetching|reading|preparing|saving|computing|searching memory|loading)/;

// Counts are worded at most ten times a second, but a stage's first and last
// always are.
const WORD_MS = 100;

/**
 * @typedef {object} Progress
 * @property {string} stage
 * @property {number} done
 * @property {number} total 0: not known
 * @property {string} text
 * @property {string} said for a live region: sparingly
 * @property {number | null} percent
 * @property {number} began
 * @property {number} from what was done when the stage began
 * @property {number} worded
 * @property {number} tenth
 */

/**
 * begin shows that something runs before the first count arrives. Now is in
 * milliseconds, of any clock.
 * @param {string} what
 * @param {number} now
 * @returns {Progress}
 */
export function begin(what, now) {
  return { stage: '', done: 0, total: 0, text: what, said: '', percent: null, began: now, from: 0, worded: -Infinity, tenth: 0 };
}

/**
 * advance takes a count; it gives the same progress where there is nothing new to
 * show yet.
 * @param {Progress} last
 * @param {string} stage
 * @param {number} done
 * @param {number} total
 * @param {number} now
 * @returns {Progress}
 */
export function advance(last, stage, done, total, now) {
  const fresh = stage !== last.stage;
  if (!fresh && done !== total && now - last.worded < WORD_MS) return last;
  const began = fresh ? now : last.began, from = fresh ? done : last.from;
  const bytes = BYTES.test(stage), show = (/** @type {number} */ n) => bytes ? size(n, false) : n.toLocaleString('en');
  const seconds = (now - began) / 1000, rate = seconds > 0.5 ? (done - from) / seconds : 0;
  let text = total ? `${stage}: ${show(done)} of ${show(total)}` : `${stage}: ${show(done)}`;
  if (rate > 0) text += `, ${show(Math.round(rate))} per second`;
  if (rate > 0 && total > done) text += `, ${duration((total - done) / rate)} left`;
  const tenth = total ? Math.floor(10 * done / total) : 0;
  let said = fresh ? stage : '';
  if (!fresh && tenth > last.tenth && seconds > 1) said = `${stage}: ${10 * tenth} %`;
  return { stage, done, total, text, said, percent: total ? Math.floor(100 * done / total) : null, began, from, worded: now, tenth };
}
