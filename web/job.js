// One thing at a time: what runs, how it ends, and what is said of it.

/**
 * @typedef {import('./store.js').Fault} Fault
 * @typedef {{command: string, name: string, arg?: unknown}} Offer
 */

export class Job {
  /**
   * @param {import('./engine.js').EngineLike} engine
   * @param {import('./store.js').Store} store
   * @param {import('./opened.js').Host} host
   */
  constructor(engine, store, host) {
    this.engine = engine;
    this.store = store;
    this.host = host;
    /** @type {AbortController | null} */
    this.abort = null;
  }

  /** @param {string} text */
  log(text) {
    this.store.dispatch({ type: 'line', text: `${(this.host.now() / 1000).toFixed(3)} ${text}` });
  }

  /**
   * tell says something in one line, at a place.
   * @param {string} at
   * @param {string} text
   * @param {Offer[]} [offers]
   */
  tell(at, text, offers = []) {
    this.store.dispatch({ type: 'notice', notice: { at, text, offers } });
  }

  /**
   * run does a piece of work, shows that it runs, and says how it failed, at the
   * place where it was asked for. Cancelled says what a cancel leaves, where that is
   * more than nothing. It gives whether the work came to its end.
   * @param {string} title
   * @param {string} at
   * @param {(signal: AbortSignal) => Promise<void>} work
   * @param {string} [cancelled]
   */
  async run(title, at, work, cancelled = 'Cancelled; nothing was saved or sent.') {
    if (this.abort) {
      this.tell(at, 'Something runs already: cancel it, or wait for it.');
      return false;
    }
    const abort = this.abort = new AbortController();
    this.store.dispatch({ type: 'begin', title, at, now: this.host.now() });
    this.log(title);
    try {
      await work(abort.signal);
      return true;
    } catch (error) {
      this.fail(error, at, abort.signal.aborted, cancelled);
      return false;
    } finally {
      this.abort = null;
      this.store.dispatch({ type: 'end' });
    }
  }

  /**
   * @param {any} error
   * @param {string} at
   * @param {boolean} aborted
   * @param {string} cancelled
   */
  fail(error, at, aborted, cancelled) {
    // A DOMException has a code too, but a number.
    const known = error && typeof error.code === 'string';
    if (known ? error.code === 'cancelled' : aborted) {
      this.log('cancelled');
      this.tell(at, cancelled);
      return;
    }
    const { code, text, remedy } = known ? error : this.engine.fault('internal', `something broke in the page: ${error}`);
    this.log(`error: ${error.subject ? `${error.subject}: ` : ''}${text} [${code}]`);
    const offers = [...error.offers || [], ...this.failed({ code, text, remedy, candidate: error.candidate })];
    this.store.dispatch({ type: 'notice', notice: { at, fault: { code, text, remedy }, subject: error.subject, text: error.also, offers, refused: Boolean(error.candidate && error.subject) } });
  }

  /**
   * failed does what a fault makes necessary, and gives what to offer.
   * @param {Fault & {candidate?: boolean}} _fault of a candidate: what is open is not concerned
   * @returns {Offer[]}
   */
  failed(_fault) { return []; }

  /**
   * ask calls the worker for the job that runs. A cancel that comes between two
   * calls finds nothing to stop in the worker: it is seen here.
   * @param {string} method
   * @param {any[]} args
   */
  async ask(method, ...args) {
    const check = () => { if (this.aborted()) throw this.engine.fault('cancelled'); };
    check();
    const answer = await this.engine.call(method, ...args);
    check();
    return answer;
  }

  aborted() { return Boolean(this.abort?.signal.aborted); }

  // started waits for the program, unless it is cancelled.
  async started() {
    const { abort } = this;
    await Promise.race([this.engine.ready, new Promise((_, reject) => {
      abort?.signal.addEventListener('abort', () => reject(this.engine.fault('cancelled', 'cancelled')));
    })]);
  }

  /** @param {string} title */
  retitle(title) {
    this.store.dispatch({ type: 'retitle', title, now: this.host.now() });
    this.log(title);
  }

  /**
   * report counts for the job that runs.
   * @param {string} stage
   * @param {number} done
   * @param {number} total
   */
  report(stage, done, total) {
    this.store.dispatch({ type: 'progress', stage, done, total, now: this.host.now() });
  }

  /**
   * sleep waits, unless it is cancelled.
   * @param {number} ms
   * @param {AbortSignal} signal
   */
  async sleep(ms, signal) {
    await new Promise((next) => {
      const timer = setTimeout(next, ms);
      signal.addEventListener('abort', () => { clearTimeout(timer); next(undefined); });
    });
    if (signal.aborted) throw this.engine.fault('cancelled');
  }

  async cancel() {
    if (!this.abort || this.aborted()) return;
    this.abort.abort();
    await this.engine.cancel();
  }
}
