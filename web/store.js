// What the page knows, and how that changes: one state, and a pure function from
// a state and an event to the next. Nothing else in the page is kept anywhere.

import { advance, begin } from './progress.js';

/**
 * What went wrong, in the words of the catalogue.
 * @typedef {{text?: string, command?: string, for?: string[]} | string} Step
 * @typedef {{code: string, text: string, remedy: Step[]}} Fault
 */

/**
 * The file that is open, and what came of it. It is replaced, never changed.
 * @typedef {object} Session
 * @property {number} id
 * @property {string} name
 * @property {number} size bytes
 * @property {boolean} pasted
 * @property {import('./summary.js').Summary} summary with the dump, once there is one
 * @property {string} json what was found, as the command line prints it (info -json, kcsan -json)
 * @property {{compat: boolean, type: string, registers: string}} options
 * @property {Dump | null} dump
 * @property {string} log the text of a Linux kernel's log, once asked for
 * @property {boolean} stacks those of all threads were read
 * @property {boolean} changed the file is no longer what it was
 */

/**
 * The dump. Without an address it was described, and is to be prepared first.
 * @typedef {{name: string, bytes: number, url: string, blob: Blob | null, sha256: string, saved: boolean}} Dump
 */

/**
 * What is said in one place: a fault, or one line. Offers are commands with an
 * argument. At is the panel it belongs to, or bar.
 * @typedef {object} Notice
 * @property {string} at
 * @property {string} [text]
 * @property {Fault} [fault]
 * @property {string} [subject] the file it is about
 * @property {boolean} [refused] it was not opened: it stays in the list of this visit
 * @property {{command: string, name: string, arg?: unknown}[]} [offers]
 */

/**
 * A PDB that waits for a core.
 * @typedef {{file: File, name: string, size: number, id: string}} WaitingPDB
 */

/**
 * @typedef {object} State
 * @property {'loading' | 'empty' | 'busy' | 'open' | 'stopped'} phase html[data-phase]
 * @property {boolean} ready the program runs
 * @property {boolean} stopped and never will
 * @property {{done: number, total: number}} loading bytes of the program
 * @property {Record<string, any>} build
 * @property {Record<string, Fault>} catalogue of errors
 * @property {boolean} offline
 * @property {boolean} secure
 * @property {Session | null} session
 * @property {{title: string, at: string} | null} job
 * @property {import('./progress.js').Progress | null} progress
 * @property {string} said for who listens: the latest of what happens
 * @property {Notice[]} notices at most one for each place
 * @property {{files: File[], handles: any[], folders: string[], via: string}[]} next what came while something ran
 * @property {{name: string, text: string}[]} refused in this visit
 * @property {WaitingPDB[]} pdbs
 * @property {{key: string, bytes: number}[]} cached PDBs that the browser keeps
 * @property {import('./recent.js').Recent[]} recent files that were opened before
 * @property {number} hashRate bytes a second
 * @property {Record<string, Record<string, any>>} ui what each panel remembers
 * @property {string} log
 * @property {boolean} update a newer version is there
 */

/** @type {State} */
export const initial = {
  phase: 'loading', ready: false, stopped: false, loading: { done: 0, total: 0 },
  build: {}, catalogue: {}, offline: false, secure: true,
  session: null, job: null, progress: null, said: '', notices: [], next: [],
  refused: [], pdbs: [], cached: [], recent: [], hashRate: 0, ui: {}, log: '', update: false,
};

/** @type {Record<string, (state: State, event: any) => Partial<State>>} */
const steps = {
  loading: (_, { done, total }) => ({ loading: { done, total } }),
  ready: (state, { catalogue }) => ({ ready: true, catalogue: catalogue || state.catalogue }),
  stopped: () => ({ stopped: true, job: null, progress: null }),
  begin: (state, { title, at, now }) => ({
    job: { title, at }, progress: begin(title, now), said: title,
    notices: state.notices.filter((n) => n.at !== at && n.at !== 'bar'),
  }),
  retitle: (state, { title, now }) => (state.job ? { job: { ...state.job, title }, progress: begin(title, now), said: title } : {}),
  progress(state, { stage, done, total, now }) {
    if (!state.progress) return {};
    const progress = advance(state.progress, stage, done, total, now);
    return progress === state.progress ? {} : { progress, said: progress.said || state.said };
  },
  end: () => ({ job: null, progress: null }),
  opened: (_, { session }) => ({ session, ui: {}, notices: [] }),
  session: (state, { change }) => (state.session ? { session: { ...state.session, ...change } } : {}),
  closed: () => ({ session: null, ui: {}, notices: [], said: '' }),
  notice: (state, { notice }) => ({
    notices: [...state.notices.filter((n) => n.at !== notice.at), notice],
    said: notice.fault ? '' : notice.text, // a fault is an alert of its own
    ...(notice.fault && notice.refused ? { refused: [...state.refused.filter((r) => r.name !== notice.subject), { name: notice.subject, text: `${notice.fault.text} [${notice.fault.code}]` }].slice(-20) } : {}),
  }),
  forgetRefused: () => ({ refused: [] }),
  dismiss: (state, { at }) => ({ notices: state.notices.filter((n) => n.at !== at) }),
  said: (_, { text }) => ({ said: text }),
  next: (state, { input }) => ({ next: [...state.next, input] }),
  taken: () => ({ next: [] }),
  pdbs: (_, { pdbs }) => ({ pdbs }),
  cached: (_, { cached }) => ({ cached }),
  recent: (_, { recent }) => ({ recent }),
  hashRate: (_, { rate }) => ({ hashRate: rate }),
  ui: (state, { panel, change }) => ({ ui: { ...state.ui, [panel]: { ...state.ui[panel], ...change } } }),
  line: (state, { text }) => ({ log: `${state.log}${text}\n` }),
  update: () => ({ update: true }),
};

/**
 * reduce gives the state after an event. An event that changes nothing gives the
 * same state; one that is not known is an error of the page's own.
 * @param {State} state
 * @param {{type: string} & Record<string, any>} event
 * @returns {State}
 */
export function reduce(state, event) {
  const step = steps[event.type];
  if (!step) throw new Error(`no such event: ${event.type}`);
  const change = step(state, event);
  if (Object.keys(change).length === 0) return state;
  const next = { ...state, ...change };
  return { ...next, phase: phase(next) };
}

/**
 * @param {State} state
 * @returns {State['phase']}
 */
function phase({ stopped, ready, job, session }) {
  if (stopped) return 'stopped';
  if (!ready) return 'loading';
  if (job) return 'busy';
  return session ? 'open' : 'empty';
}

/**
 * Store holds the state and tells who asked of each new one.
 */
export class Store {
  /** @param {Partial<State>} [first] */
  constructor(first = {}) {
    /** @type {State} */
    this.state = { ...initial, ...first };
    /** @type {((state: State) => void)[]} */
    this.listeners = [];
  }

  /** @param {{type: string} & Record<string, any>} event */
  dispatch(event) {
    const state = reduce(this.state, event);
    if (state === this.state) return;
    this.state = state;
    for (const listener of this.listeners) listener(state);
  }

  /** @param {(state: State) => void} listener */
  subscribe(listener) {
    this.listeners.push(listener);
    listener(this.state);
  }
}
