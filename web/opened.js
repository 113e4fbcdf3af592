// The file that is open, and its dump: what the worker has of it, the description of
// the dump, what is made and checked of it. How it came to be open is session.js.

import { dumpName, size } from './format.js';
import { isPasted } from './input.js';
import { Job } from './job.js';
import { together } from './pieces.js';
import { blockedBy } from './verdict.js';

/**
 * @typedef {import('./store.js').Session} Session
 * @typedef {import('./recent.js').Recent} Recent
 * @typedef {{file: File, handle: any, id: string, snapshot?: string}} Source the id is that of package identify; the snapshot's is a disk image's own
 */

/**
 * What needs a browser.
 * @typedef {object} Host
 * @property {() => number} now milliseconds
 * @property {(engine: any, description: any, file: File) => Promise<Blob>} dumpBlob
 * @property {(description: any) => boolean} streamed
 * @property {(blob: Blob) => string} address
 * @property {(url: string) => void} release
 * @property {(blob: Blob, name: string, report: (stage: string, done: number, total: number) => void, signal: AbortSignal) => Promise<boolean>} saveByPicker
 * @property {(id: string) => void} pick opens a picker
 * @property {() => void} save presses the link that saves
 * @property {(url: string, signal: AbortSignal) => Promise<Response>} fetch
 * @property {string} symbols the address of this server's symbols
 * @property {{recent: () => Promise<Recent[]>, remember: (handle: any, file: File) => Promise<void>, forget: (id?: number) => Promise<void>, again: (handle: any) => Promise<File | null>}} recent see recent.js
 */

export class Opened extends Job {
  /**
   * @param {import('./engine.js').EngineLike} engine
   * @param {import('./store.js').Store} store
   * @param {Host} host
   */
  constructor(engine, store, host) {
    super(engine, store, host);
    this.sessions = 0;
    this.held = { id: 0, generation: -1 }; // what the worker has open
    /** @type {Source & {mark: Uint8Array, given: File[], lines: File[], proof: string} | null} */
    this.source = null; // of the session
  }

  get session() { return this.store.state.session; }

  /** @param {Partial<Session>} change */
  change(change) { this.store.dispatch({ type: 'session', change }); }

  /**
   * read gives the summary of an answer. Others run between the pieces of a long one.
   * @param {{json: string, pieces?: import('./pieces.js').Pieces | null}} answer
   * @returns {Promise<import('./summary.js').Summary>}
   */
  async read({ json, pieces }) {
    return pieces ? together(pieces, () => new Promise((next) => { setTimeout(next); })) : JSON.parse(json);
  }

  // inspected gives the summary of what is open in the worker, whatever it is. The
  // program of a first visit reads Windows cores only: for the rest the whole one is
  // fetched.
  /**
   * @param {Source & {error?: import('./store.js').Fault | null}} source
   * @param {Uint8Array} mark
   * @returns {Promise<any>}
   */
  async inspected({ file, id, error, snapshot }, mark) {
    let answer = await this.ask('inspect'), code = answer.error?.code;
    if (/^(is-linux|is-log|unknown-format|needs-whole)$/.test(code || '')) {
      const proof = await this.ask('proof'); // the file is still what the first worker opened
      if (await this.engine.whole()) {
        await this.openAgain(file, mark, proof, snapshot);
        answer = await this.ask('inspect');
        code = answer.error?.code;
      }
    }
    if (code === 'is-linux') return this.ask('races');
    if (code !== 'is-log' && code !== 'unknown-format') return answer;
    const log = await this.ask('races'), { file: { format }, reports, warnings } = await this.read(log);
    // The text of a kernel log, and not another text.
    if (format === 'log' && !log.error && (reports.length || warnings.length || isPasted(file) || id === 'kernel-log')) return log;
    return { ...answer, error: error || answer.error, otherText: true };
  }

  // again inspects what is open once more, with what is known since.
  async again() {
    if (!this.source) return;
    const answer = await this.inspected(this.source, this.source.mark);
    this.change({ json: answer.json, summary: await this.read(answer) });
  }

  // describe makes the dump of what is open: at once where that costs nothing, else
  // it is offered to be prepared.
  async describe() {
    const { session, source } = this;
    if (!session || !source) return;
    this.withdraw();
    if (blockedBy(session.summary, session.options)) return;
    this.retitle(`Describing the dump of ${session.name}`);
    const answer = await this.made(session.options);
    const summary = await this.read(answer), description = await this.ask('parts');
    this.change({ summary });
    const dump = { name: dumpName(summary), bytes: description.size, url: '', blob: null, sha256: '', saved: false };
    if (this.host.streamed(description)) this.change({ dump });
    else await this.offer(dump, await this.host.dumpBlob(this.engine, description, source.file));
    this.measure();
  }

  // made has the dump described. A type that the program of a first visit does not
  // make is the whole one's, which then has to open the file anew.
  /**
   * @param {Session['options']} options
   * @returns {Promise<any>}
   */
  async made(options) {
    try {
      return await this.ask('convert', options);
    } catch (error) {
      if (!this.source || /** @type {any} */ (error).code !== 'needs-whole') throw error;
      this.source.proof = await this.ask('proof');
      if (!await this.engine.whole()) throw error;
      await this.hold();
      return this.ask('convert', options);
    }
  }

  // offer offers a dump, after a last look at the core.
  /**
   * @param {import('./store.js').Dump} dump
   * @param {Blob} blob
   */
  async offer(dump, blob) {
    await this.ask('unchanged');
    if (this.source) this.source.proof = await this.ask('proof');
    this.change({ dump: { ...dump, blob, url: this.host.address(blob) } });
    this.store.dispatch({ type: 'said', text: `The dump is ready: ${size(blob.size)}` });
  }

  // measure finds out how fast this browser hashes, so that the time can be said
  // before it is spent. Nobody waits for it.
  async measure() {
    if (this.store.state.hashRate) return;
    const rate = await this.engine.call('hashRate').catch(() => 0);
    this.store.dispatch({ type: 'hashRate', rate });
  }

  // prepare writes a dump that takes its time, for the browser to keep until it is saved.
  async prepare() {
    await this.run('Preparing the dump', 'dump', async () => {
      await this.hold();
      if (!this.session?.dump) await this.describe();
      const dump = this.session?.dump, file = this.source?.file;
      if (dump && !dump.url && file) await this.offer(dump, await this.host.dumpBlob(this.engine, await this.ask('parts'), file));
    });
  }

  // choose takes other options for the dump.
  /** @param {Partial<Session['options']>} options */
  async choose(options) {
    const { session } = this;
    if (!session) return;
    this.change({ options: { ...session.options, ...options } });
    this.withdraw();
    if (blockedBy(session.summary, { ...session.options, ...options })) return;
    await this.run('Describing the dump', 'dump', async () => {
      await this.hold();
      await this.describe();
    });
  }

  // hold makes sure that the worker has open what the page shows: another file may
  // have been looked at since, or the worker is new. The file must still be what it
  // was.
  async hold() {
    const { session, source, engine } = this;
    if (!session || !source || this.held.id === session.id && this.held.generation === engine.generation) return;
    await this.openAgain(source.file, source.mark, source.proof, source.snapshot);
    await this.inspected(source, source.mark);
    for (const file of source.given) await this.ask('give', file);
    if (source.given.length) await this.inspected(source, source.mark);
    for (const file of source.lines) await this.ask('debug', file);
    if (session.dump) await this.ask('convert', session.options);
    this.held = { id: session.id, generation: engine.generation };
  }

  // openAgain opens a file that the worker has not open any more; with the proof of what it
  // was, it must still be that.
  /**
   * @param {File} file
   * @param {Uint8Array} mark
   * @param {string} proof '' where there is none yet
   * @param {string} [snapshot]
   */
  async openAgain(file, mark, proof, snapshot) {
    await this.ask('open', file, mark, snapshot);
    if (!proof) return;
    await this.ask('recall', proof);
    await this.ask('unchanged');
  }

  async recheck() {
    await this.run('Checking the core', 'dump', async () => {
      await this.hold();
      await this.ask('unchanged');
      this.tell('dump', 'The core is as it was when it was opened.');
    });
  }

  async hash() {
    await this.run('Computing SHA-256', 'dump', async () => {
      await this.hold();
      const sha256 = await this.ask('sha256'), dump = this.session?.dump;
      if (dump) this.change({ dump: { ...dump, sha256 } });
      this.store.dispatch({ type: 'said', text: 'SHA-256 computed' });
    }, 'Cancelled; the dump is still offered.');
  }

  // save is the link's own doing: this says so.
  saving() {
    const dump = this.session?.dump;
    if (!dump) return;
    this.log(`saving ${dump.name}, ${dump.bytes} bytes`);
    this.change({ dump: { ...dump, saved: true } });
    this.store.dispatch({ type: 'said', text: `Saving ${dump.name}: ${size(dump.bytes)} are expected` });
  }

  async saveAs() {
    const dump = this.session?.dump, blob = dump?.blob;
    if (!dump || !blob) return;
    await this.run('Saving', 'dump', async (signal) => {
      if (!await this.host.saveByPicker(blob, dump.name, (...count) => this.report(...count), signal)) {
        this.tell('dump', 'Nothing was saved.');
        return;
      }
      await this.hold();
      await this.ask('unchanged');
      this.tell('dump', `Saved: ${size(blob.size)}.`);
    }, 'Cancelled; the dump is still offered, no part of it was saved there.');
  }

  // release lets go of the address of a dump; a download that has begun goes on
  // without it.
  release() {
    const url = this.session?.dump?.url;
    if (url) this.host.release(url);
  }

  withdraw() {
    this.release();
    if (this.session?.dump) this.change({ dump: null });
  }

  // failed is what a fault costs: only what can no longer be true.
  /** @param {import('./store.js').Fault & {candidate?: boolean}} fault */
  failed(fault) {
    if (fault.code !== 'file-changed' || fault.candidate || !this.session) return [];
    this.withdraw();
    this.change({ changed: true });
    return [{ command: 'reopen', name: `Open ${this.session.name} again` }];
  }
}
