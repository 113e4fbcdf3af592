// A summary in pieces: that of a large guest has 9 MB of JSON, and to read it at once
// would hold the page's thread up. The worker takes it apart, the page puts it
// together, a piece a task.

// So many characters are read in a few milliseconds.
const PIECE = 1 << 20;

/**
 * A text without its long arrays, and those in parts: each part is an array of its
 * own, the path leads to where its elements belong.
 * @typedef {{rest: string, parts: {path: string[], text: string}[]}} Pieces
 */

/**
 * apart takes JSON apart; null where it is short.
 * @param {string} json
 * @param {number} [most] characters of a piece, about
 * @returns {Pieces | null}
 */
export function apart(json, most = PIECE) {
  if (json.length <= most) return null;
  const parts = /** @type {Pieces['parts']} */ ([]), rest = without(JSON.parse(json), json.length, [], most, parts);
  return { rest: JSON.stringify(rest), parts };
}

/**
 * without gives a value with the long arrays in it emptied, and adds their parts.
 * @param {any} value
 * @param {number} length of its text
 * @param {string[]} path
 * @param {number} most
 * @param {Pieces['parts']} parts
 * @returns {any}
 */
function without(value, length, path, most, parts) {
  if (length <= most || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const each = Math.max(1, Math.floor(value.length * most / length));
    for (let i = 0; i < value.length; i += each) parts.push({ path, text: JSON.stringify(value.slice(i, i + each)) });
    return [];
  }
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, without(v, (JSON.stringify(v) || '').length, [...path, name], most, parts)]));
}

/**
 * together reads what was taken apart. Pause lets others run between two pieces.
 * @param {Pieces} pieces
 * @param {() => Promise<void>} pause
 * @returns {Promise<any>}
 */
export async function together({ rest, parts }, pause) {
  const whole = JSON.parse(rest);
  for (const { path, text } of parts) {
    await pause();
    const list = path.reduce((at, name) => at[name], whole);
    for (const element of JSON.parse(text)) list.push(element);
  }
  return whole;
}
