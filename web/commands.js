// All that can be done: the one table behind the buttons, the keys, the sheet of
// keys and the palette.

import { SUMMARIES } from './report.js';

/**
 * @typedef {object} Command
 * @property {string} id
 * @property {string} name as buttons and lists say it
 * @property {string[]} [keys]
 * @property {string} [tip] what it does, where the name does not say
 * @property {boolean} [hidden] it needs an argument: no list offers it
 * @property {(state: import('./store.js').State) => boolean} when
 * @property {(context: Context, arg?: any) => unknown} run
 */

/** @typedef {{controller: import('./session.js').Controller, store: import('./store.js').Store, page: Page}} Context */

/**
 * What a command needs of the page's elements.
 * @typedef {object} Page
 * @property {(id: string) => void} pick
 * @property {() => void} save
 * @property {(text: string, element?: Element | null) => void} copy
 * @property {(id: string) => void} sheet
 * @property {() => boolean} closeSheets
 * @property {(id: string) => void} reveal
 * @property {() => void} print
 * @property {() => string} link
 * @property {(text: string, name: string, type: string) => void} saveText
 * @property {() => void} reload
 * @property {() => string} details
 */

const idle = (/** @type {import('./store.js').State} */ s) => s.phase === 'empty' || s.phase === 'open';
const open = (/** @type {import('./store.js').State} */ s) => s.phase === 'open';
const offered = (/** @type {import('./store.js').State} */ s) => open(s) && Boolean(s.session?.dump?.url);
const always = () => true;

/** @type {Command[]} */
export const commands = [
  { id: 'open', name: 'Open a core', keys: ['Ctrl+O'], tip: 'a core, its PDB, or the text of a kernel log', when: (s) => !s.job && !s.stopped, run: ({ page }) => page.pick('file') },
  { id: 'save', name: 'Save the dump', keys: ['Ctrl+S'], when: offered, run: ({ page }) => page.save() },
  { id: 'cancel', name: 'Cancel', keys: ['Escape'], tip: 'what runs; else close what is said', when: always, run: cancel },
  { id: 'help', name: 'Keys', keys: ['?'], when: always, run: ({ page }) => page.sheet('help') },
  { id: 'palette', name: 'All commands', keys: ['Ctrl+Shift+P'], when: always, run: ({ page }) => page.sheet('palette') },
  { id: 'close', name: 'Close the core', when: open, run: ({ controller }) => controller.close() },
  { id: 'demo', name: 'Try it with the demo guest', when: (s) => idle(s) && Boolean(s.build.demo) && !s.offline, run: ({ controller }) => controller.demo() },
  { id: 'sample-crash', name: 'Open the sample of a Windows bug check', when: idle, run: ({ controller }) => controller.sample('crash.elf') },
  { id: 'sample-races', name: 'Open the sample of KCSAN races', when: idle, run: ({ controller }) => controller.sample('races.log') },
  { id: 'prepare', name: 'Prepare the dump', tip: 'its memory is packed, or in very many parts: the browser writes it out first', when: (s) => open(s) && !s.session?.dump?.url && s.session?.summary.guest?.os === 'windows', run: ({ controller }) => controller.prepare() },
  { id: 'save-as', name: 'Save to a place of choice', when: (s) => offered(s) && 'showSaveFilePicker' in globalThis, run: ({ controller }) => controller.saveAs() },
  { id: 'recheck', name: 'Check the core again', tip: 'whether it is still what it was when it was opened', when: offered, run: ({ controller }) => controller.recheck() },
  { id: 'hash', name: 'Compute SHA-256', tip: 'of the dump', when: offered, run: ({ controller }) => controller.hash() },
  { id: 'pdb', name: 'Give the PDB', when: open, run: ({ page }) => page.pick('pdb') },
  { id: 'symbols', name: 'Get the PDB from this server', when: (s) => open(s) && !s.offline && s.build.symbols !== false && Boolean(s.session?.summary.symbols?.key), run: ({ controller }) => controller.symbols() },
  { id: 'stacks', name: 'Read where every thread stood', when: (s) => open(s) && Boolean(s.session?.summary.windows) && !s.session?.stacks, run: ({ controller }) => controller.stacks() },
  { id: 'kernel-log', name: 'Show the kernel log', when: (s) => open(s) && (Boolean(s.session?.summary.linux?.detail) || s.session?.summary.file.format === 'log' && !s.session.pasted) && !s.session?.log, run: ({ controller }) => controller.readLog() },
  ...Object.entries(SUMMARIES).map(([id, { name, make }]) => /** @type {Command} */ ({ id: `copy-${id}`, name: `Copy the summary as ${name}`, when: open, run: ({ store, page }) => page.copy(make(/** @type {any} */ (store.state.session))) })),
  { id: 'copy-link', name: 'Copy a link to this page', tip: 'it leads to the page and its panel, never to what is open', when: always, run: ({ page }) => page.copy(page.link()) },
  { id: 'print', name: 'Print the summary', when: open, run: ({ page }) => page.print() },
  { id: 'copy-log', name: 'Copy the log', when: always, run: ({ store, page }, element) => page.copy(store.state.log, element) },
  { id: 'copy-log-redacted', name: 'Copy the log without addresses', when: always, run: ({ store, page }) => page.copy(redacted(store.state.log)) },
  { id: 'reload', name: 'Load the newer version', when: (s) => s.update && !s.job, run: ({ page }) => page.reload() },

  { id: 'copy', name: 'Copy', hidden: true, when: always, run: ({ page }, { text, element }) => page.copy(text, element) },
  { id: 'copy-details', name: 'Copy details', hidden: true, when: always, run: ({ page }, notice) => page.copy(`${notice.subject ? `${notice.subject}: ` : ''}${notice.fault.text} [${notice.fault.code}]\n${page.details()}`) },
  { id: 'copy-details-redacted', name: 'Copy details without addresses', hidden: true, when: always, run: ({ page }, notice) => page.copy(redacted(`${notice.subject ? `${notice.subject}: ` : ''}${notice.fault.text} [${notice.fault.code}]\n${page.details()}`)) },
  { id: 'saved', name: 'Saving', hidden: true, when: offered, run: ({ controller }) => controller.saving() },
  { id: 'dismiss', name: 'Close', hidden: true, when: always, run: ({ store }, at) => store.dispatch({ type: 'dismiss', at }) },
  { id: 'options', name: 'Other options', hidden: true, when: open, run: ({ controller }, options) => controller.choose(options) },
  { id: 'reopen', name: 'Open it again', hidden: true, when: idle, run: ({ controller }) => controller.reopen() },
  { id: 'open-file', name: 'Open', hidden: true, when: idle, run: ({ controller }, { file, handle }) => controller.take({ files: [file], handles: [handle], folders: [], via: 'offer' }) },
  { id: 'open-anyway', name: 'Show what was found', hidden: true, when: idle, run: ({ controller }, source) => controller.openAnyway(source) },
  { id: 'open-next', name: 'Open what came meanwhile', hidden: true, when: (s) => idle(s) && s.next.length > 0, run: ({ controller }) => controller.openNext() },
  { id: 'drop-next', name: 'Leave it', hidden: true, when: always, run: ({ store }) => store.dispatch({ type: 'taken' }) },
  { id: 'forget-refused', name: 'Clear the list', hidden: true, when: always, run: ({ store }) => store.dispatch({ type: 'forgetRefused' }) },
  { id: 'open-recent', name: 'Open it again', hidden: true, when: idle, run: ({ controller }, recent) => controller.openRecent(recent) },
  { id: 'forget-recent', name: 'Take it off the list', hidden: true, when: always, run: ({ controller }, id) => controller.forgetRecent(id) },
  { id: 'take-back', name: 'Take back', hidden: true, when: idle, run: ({ controller }, id) => controller.takeBack(id) },
  { id: 'forget', name: 'Delete', hidden: true, when: idle, run: ({ controller }, key) => controller.forget(key) },
  { id: 'log-line', name: 'Show in the log', hidden: true, when: open, run: ({ controller, page }, report) => controller.logLine(report).then(() => page.reveal('dmesg-line')) },
  { id: 'save-summary', name: 'Save the summary', hidden: true, when: open, run: ({ store, page }, id) => page.saveText(SUMMARIES[id].make(/** @type {any} */ (store.state.session)), `${store.state.session?.name || 'core'}.summary.${SUMMARIES[id].ending}`, SUMMARIES[id].type) },
  { id: 'show', name: 'Show it', hidden: true, when: always, run: show },
  { id: 'ui', name: 'Show', hidden: true, when: always, run: ({ store }, { panel, change }) => store.dispatch({ type: 'ui', panel, change }) },
];

/** @param {Context} context */
function cancel({ controller, store, page }) {
  if (page.closeSheets()) return;
  if (store.state.job) {
    controller.cancel();
    return;
  }
  for (const { at } of store.state.notices) store.dispatch({ type: 'dismiss', at });
}

/**
 * show leads to a place in a panel: the panel is told, then the place is looked for.
 * @param {Context} context
 * @param {{panel: string, change?: Record<string, any>, target: string}} to
 */
function show({ store, page }, { panel, change, target }) {
  if (change) store.dispatch({ type: 'ui', panel, change });
  page.reveal(target);
}

// What a log has of the guest: addresses, by which its kernel can be attacked
// while it runs, and the identity of its PDB.
const TELLING = /\b0x[0-9a-f]{5,}\b|\b[0-9a-f]{12,}\b|\b[0-9A-F]{32,}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi;

/** @param {string} text */
export function redacted(text) {
  return text.replace(TELLING, '…');
}

/** @param {string} id */
export function command(id) {
  const found = commands.find((c) => c.id === id);
  if (!found) throw new Error(`no such command: ${id}`);
  return found;
}

/**
 * byKey gives the command of a key.
 * @param {string} key
 */
export function byKey(key) {
  return commands.find((c) => c.keys?.includes(key));
}

/**
 * run does what a command is for, where it can be done now. It gives whether.
 * @param {Context} context
 * @param {string} id
 * @param {any} [arg]
 */
export function run(context, id, arg) {
  const found = command(id);
  if (!found.when(context.store.state)) {
    // A key that does nothing says so.
    if (found.keys) context.store.dispatch({ type: 'notice', notice: { at: 'bar', text: `${found.name}: not now.` } });
    return false;
  }
  found.run(context, arg);
  return true;
}
