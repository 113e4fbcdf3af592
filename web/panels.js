// The panels of the page, in the order in which they are read. Another view is
// one file below panels/, which exports a panel, and one line here.

/**
 * What a panel may look at. It is drawn again only when one of these is another.
 * @typedef {object} Model
 * @property {import('./store.js').Session} session
 * @property {Record<string, any>} ui what this panel remembers: see set
 * @property {boolean} busy something runs
 * @property {Record<string, any>} build
 * @property {boolean} offline
 * @property {number} hashRate bytes a second
 * @property {Record<string, import('./store.js').Fault>} catalogue of errors: what helps against each
 */

/** @typedef {(command: string, arg?: unknown) => boolean} Act runs a command: see commands.js */

/**
 * A view of what is open. Everything it shows is text to its template; what it has
 * to remember (a filter, a choice) it keeps with set.
 * @typedef {object} Panel
 * @property {string} id unique; its element is #panel-ID
 * @property {string} title
 * @property {boolean} [side] in the narrow column where there is room for two
 * @property {boolean} [half] beside another of its kind where there is room
 * @property {(summary: import('./summary.js').Summary, session: import('./store.js').Session) => boolean} when
 * @property {(model: Model, act: Act, set: (change: Record<string, any>) => void) => unknown} view
 */

const order = [
  'warnings',
  'processors',
  'races',
  'memory',
  'modules',
  'processes',
  'threads',
  'stacks',
  'linux',
  'kernellog',
  'dump',
  'symbols',
  'windbg',
  'debuggers',
  'commandline',
  'facts',
  'json',
];

/** @type {Panel[]} */
export const panels = await Promise.all(order.map(async (name) => (await import(`./panels/${name}.js`)).panel));
