// The page as the store has it: the templates, and what is outside of them.
import { render } from '../lit-html/lit-html.js';
import { bar } from './frame/bar.js';
import { start } from './frame/start.js';
import { result } from './frame/result.js';
import { sheets } from './frame/sheets.js';
import { foot } from './frame/foot.js';
import { size } from './format.js';
import { panels } from './panels.js';

/** @typedef {import('./store.js').State} State */

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {Event} event */
const leaving = (event) => event.preventDefault();

export class Screen {
  /**
   * @param {import('./store.js').Store} store
   * @param {import('./panels.js').Act} act
   */
  constructor(store, act) {
    this.act = act;
    /** @type {State | null} */
    this.last = null; // what is drawn
    /** @type {Element | null} */
    this.from = null; // where the focus was when work began
    this.asked = false;
    this.drawn = 0; // panels of what is open
    this.coming = 0; // the timer of the next one
    store.subscribe(() => {
      if (this.asked) return;
      this.asked = true;
      queueMicrotask(() => {
        this.asked = false;
        this.update(store.state);
      });
    });
  }

  /** @param {State} state */
  update(state) {
    const { last, act } = this, focused = document.activeElement;
    this.last = state;
    if (state.session?.id !== last?.session?.id) this.drawn = 1;
    this.outside(state, last);
    render(bar(state, act), $('bar-now'));
    render(start(state, act), $('start-now'));
    render(result(state, act, this.drawn), $('result'));
    render(foot(state, act), $('foot'));
    render(sheets(state, act), $('sheets'));
    if (state.session) this.more(state.session.id);
    // A button that was pressed and is locked now, or is no more, takes the focus
    // with it: it comes back when the work is done.
    if (state.job && !last?.job) this.from = focused;
    if (state.session && state.session.id !== last?.session?.id) $('result-title').focus({ preventScroll: true });
    else if (!state.job && last?.job && document.activeElement === document.body && this.from?.isConnected) /** @type {HTMLElement} */ (this.from).focus({ preventScroll: true });
  }

  /**
   * more draws one panel more, in a task of its own, until all are there.
   * @param {number} id of the session
   */
  more(id) {
    if (this.drawn >= panels.length || this.coming) return;
    this.coming = setTimeout(() => {
      this.coming = 0;
      const state = this.last;
      if (state?.session?.id !== id) return;
      this.drawn++;
      render(result(state, this.act, this.drawn), $('result'));
      if (this.drawn >= panels.length) this.outside(state, state);
      this.more(id);
    });
  }

  /**
   * outside changes what no template draws: the document, and what was there before.
   * @param {State} state
   * @param {State | null} last
   */
  outside(state, last) {
    const { phase, session, job, progress, loading, said } = state;
    // Until all is drawn it is not open yet.
    document.documentElement.dataset.phase = phase === 'open' && this.drawn < panels.length ? 'busy' : phase;
    document.title = job && progress?.percent !== null ? `${progress?.percent} % ${session?.name || job.title}` : session?.name || 'Coredrop';
    $('overlay').textContent = job ? 'Busy: it is offered when this is done'
      : session ? `Drop it: a core or a log takes the place of ${session.name}, a PDB is used for it; all stays on this machine` : 'Drop it: it is opened here, and stays on this machine';
    $('start').hidden = Boolean(session);
    $('starting').hidden = phase !== 'loading' && phase !== 'stopped';
    if (phase === 'loading' && loading.done) {
      $('starting-text').textContent = `Loading the program: ${size(loading.done, false)} of ${size(loading.total, false)}.${job ? ' Your file is opened as soon as it is here.' : ''}`;
    }
    if ($('status').textContent !== said) $('status').textContent = said;
    if (Boolean(job) !== Boolean(last?.job)) (job ? addEventListener : removeEventListener)('beforeunload', leaving);
  }
}
