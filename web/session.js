// What is done with files that come: look at each, open the one that is usable, take
// PDBs, and read more of what is open. It knows an engine, the store and a host for
// what needs a browser, and no element of the page.

import { size } from './format.js';
import { Opened } from './opened.js';
import { isPasted, sort, leftAside } from './input.js';
import { leading } from './verdict.js';
import { lineOf } from './loglines.js';

/**
 * @typedef {import('./store.js').Session} Session
 * @typedef {import('./opened.js').Source} Source
 * @typedef {import('./opened.js').Host} Host
 * @typedef {{files: File[], handles: any[], folders: string[], via: string, wanted?: string}} Input
 */

// What comes with the page, for those who have no file at hand: see package pack.
export const SAMPLES = [
  { name: 'crash.elf', title: 'Windows bug check', file: 'samples/crash.elf.packed', packed: true },
  { name: 'races.log', title: 'KCSAN races', file: 'samples/races.log', packed: false },
];

const LOG_BYTES = 16 << 20; // of a log that is shown as it is

// textOf gives the text of a file, as far as it is shown.
/** @param {Blob} file */
async function textOf(file) {
  const bytes = new Uint8Array(await file.slice(0, LOG_BYTES).arrayBuffer());
  return new TextDecoder(bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : 'utf-8').decode(bytes);
}

const SNAPSHOTS = 12; // of a disk image that are offered

// snapshots offers those of a disk image, the latest first.
/**
 * @param {import('./summary.js').Summary} summary
 * @param {Source} given
 */
function snapshots(summary, given) {
  const list = [...summary.file.snapshots || []].sort((a, b) => b.taken.localeCompare(a.taken)).slice(0, SNAPSHOTS);
  return list.map((s) => ({ command: 'open-anyway', name: `${s.name || s.id}, ${s.taken.replace('T', ' ').replace('Z', ' UTC')}, ${size(s.bytes, false)}`, arg: { ...given, snapshot: s.id } }));
}

const SEVERAL_MS = [5, 10, 20, 0]; // seconds between two asks of a busy server

export class Controller extends Opened {
  // take handles what was dropped, picked or pasted: it looks at each file before
  // any costs something. What comes while something runs is offered afterwards.
  /** @param {Input} input */
  async take(input) {
    if (this.store.state.job) {
      const [name] = [...input.files.map((f) => f.name), ...input.folders];
      this.log(`${name} came while something runs`);
      this.store.dispatch({ type: 'next', input });
      this.store.dispatch({ type: 'said', text: `Busy: ${name} is offered when this is done.` });
      return;
    }
    const title = input.files.length ? `Looking at ${input.files[0].name}` : 'Looking at what was dropped';
    await this.run(title, 'bar', async () => {
      await this.started();
      const found = [];
      for (const [i, file] of input.files.entries()) found.push({ file, name: file.name, handle: input.handles[i] || null, ...await this.identify(file, input.wanted === 'pdb') });
      const { chosen, pdbs, lines, rest } = sort(found, input.folders, Boolean(this.session));
      // A paste is easily an accident: it must not cost what is open.
      if (this.session && chosen && isPasted(chosen.file) && chosen.id !== 'kernel-log') {
        this.tell('bar', 'What was pasted is no kernel log: nothing was opened.');
        return;
      }
      if (!chosen && pdbs.length + lines.length === 0) throw this.refusal(rest);
      if (chosen) await this.open(chosen, pdbs);
      else if (pdbs.length) await this.takePDBs(pdbs);
      if (lines.length) await this.addLines(lines);
      if (rest.length) this.tell(chosen ? 'aside' : 'bar', leftAside(rest), rest.filter((r) => 'file' in r && (r.class === 'core' && !r.error || r.class === 'log')).map((r) => ({ command: 'open-file', name: `Open ${r.name}`, arg: r })));
    });
  }

  // identify says what a file is by its first bytes. What was given for a PDB and is
  // none is refused as that.
  /**
   * @param {File} file
   * @param {boolean} forPDB
   */
  async identify(file, forPDB) {
    try {
      const found = await this.ask('identify', file), { error } = found;
      if (found.class === 'symbols' || found.class === 'core' || !forPDB && !/\.pdb$/i.test(file.name)) return found;
      return { id: '', class: 'other', error: this.engine.fault('symbols-not-a-pdb', `this is no PDB: ${error ? error.text : found.noun}`, error?.remedy) };
    } catch (error) {
      if (this.aborted() || !(/** @type {any} */ (error).code)) throw error;
      return { id: '', class: 'other', error };
    }
  }

  // refusal is the fault of what was dropped where nothing of it is of use.
  /** @param {any[]} rest */
  refusal(rest) {
    const first = rest.find((r) => r.error) || rest[0];
    const fault = first.error ? this.engine.fault(first.error.code, first.error.text, first.error.remedy)
      : this.engine.fault('input-unreadable', 'this is a folder', ['drop the core that lies in it']);
    const others = rest.filter((r) => r !== first);
    return { ...fault, subject: first.name, also: others.length ? leftAside(others) : '', candidate: true };
  }

  // open inspects a core or a log. What is open stays until this one is known to be
  // usable; anyway shows what was found even if it is not.
  /**
   * @param {Source} given
   * @param {File[]} pdbs
   * @param {boolean} [anyway]
   */
  async open(given, pdbs, anyway = false) {
    const { file, handle, id } = given;
    this.retitle(`Inspecting ${file.name}`);
    const mark = crypto.getRandomValues(new Uint8Array(16));
    this.held = { id: 0, generation: -1 };
    let answer, summary;
    try {
      await this.ask('open', file, mark, given.snapshot);
      answer = await this.inspected(given, mark);
      summary = await this.read(answer);
      const error = answer.error || summary.error;
      const known = summary.file.format && !answer.otherText;
      if (error?.code === 'snapshot-choice') throw { ...this.engine.fault(error.code, error.text, error.remedy), offers: snapshots(summary, given) };
      if (error && (!known || this.session && !anyway)) {
        const offers = known ? [{ command: 'open-anyway', name: 'Show what was found', arg: given }] : [];
        throw { ...this.engine.fault(error.code, error.text, error.remedy), offers };
      }
    } catch (error) {
      // It is no fault of what is open.
      throw typeof (/** @type {any} */ (error).code) === 'string' ? { .../** @type {any} */ (error), subject: file.name, candidate: true } : error;
    }
    this.release();
    this.source = { file, handle, id, snapshot: given.snapshot, mark, given: [], lines: [], proof: '' };
    this.held = { id: ++this.sessions, generation: this.engine.generation };
    this.store.dispatch({ type: 'opened', session: {
      id: this.sessions, name: file.name, size: file.size, pasted: isPasted(file), summary, json: answer.json,
      options: { compat: false, type: '', registers: '' }, dump: null, log: '', stacks: false, changed: false,
    } });
    this.remember(handle, file);
    await this.giveWaiting(pdbs);
    const fault = this.session?.summary.error;
    if (fault) this.store.dispatch({ type: 'notice', notice: { at: 'bar', subject: file.name, ...leading(this.engine, /** @type {Session} */ (this.session).summary, fault) } });
    await this.describe();
  }

  // takePDBs handles PDBs without a core: they are for the core that is open, or wait
  // for one.
  /** @param {File[]} pdbs */
  async takePDBs(pdbs) {
    if (this.session) {
      await this.hold();
      if (await this.giveAll(pdbs)) await this.describe();
      return;
    }
    await this.wait(pdbs);
  }

  // wait keeps PDBs for the next core.
  /** @param {File[]} pdbs */
  async wait(pdbs) {
    for (const file of pdbs) {
      try {
        const { id } = await this.ask('readPDB', file);
        this.store.dispatch({ type: 'pdbs', pdbs: [...this.store.state.pdbs.filter((p) => p.id !== id), { file, name: file.name, size: file.size, id }] });
        this.tell('start', `${file.name} is a PDB and will be used: now open the core.`);
      } catch (error) {
        throw { .../** @type {any} */ (error), subject: file.name };
      }
    }
  }

  // giveWaiting gives a core the PDBs that came with it or before it. Where no kernel
  // asks for one they wait on.
  /** @param {File[]} pdbs */
  async giveWaiting(pdbs) {
    if (!this.session?.summary.symbols.key) {
      await this.wait(pdbs);
      return;
    }
    const waiting = this.store.state.pdbs.map((p) => p.file);
    this.store.dispatch({ type: 'pdbs', pdbs: [] });
    await this.giveAll([...waiting, ...pdbs]);
  }

  // giveAll takes PDBs for what is open; one that is not its kernel's changes
  // nothing. It gives whether any was taken.
  /** @param {File[]} files */
  async giveAll(files) {
    let taken = false, refused = null;
    for (const file of files) {
      try {
        await this.ask('give', file);
        taken = true;
        this.source?.given.push(file);
      } catch (error) {
        const { code, text, remedy } = /** @type {any} */ (error);
        if (!/^(pdb|symbols)-/.test(code)) throw error;
        refused = { at: 'symbols', subject: file.name, fault: this.engine.fault(code, text, code === 'symbols-not-a-pdb' ? ['give the .pdb itself, not a page or an archive that holds it'] : remedy) };
      }
    }
    if (taken) {
      this.store.dispatch({ type: 'dismiss', at: 'symbols' });
      await this.again();
    }
    if (refused) this.store.dispatch({ type: 'notice', notice: refused });
    return taken;
  }

  // addLines takes debugging information of the kernel that is open, or of its
  // modules. One of another build is named in the summary's warnings.
  /** @param {File[]} files */
  async addLines(files) {
    await this.hold();
    for (const file of files) {
      this.retitle(`Looking up source lines in ${file.name}`);
      const answer = await this.ask('debug', file), summary = await this.read(answer);
      const used = summary.linux?.debug?.find((/** @type {{name: string}} */ d) => d.name === file.name);
      this.change({ json: answer.json, summary });
      if (!used) {
        this.tell('bar', `${file.name} was not used: see the warnings.`);
        continue;
      }
      this.source?.lines.push(file);
      this.tell('bar', `Source lines of ${used.module || 'the kernel'} from ${file.name}: ${size(used.bytes_read)} of ${size(file.size)} read.`);
    }
  }

  async symbols() {
    await this.run('Fetching symbols', 'symbols', async (signal) => {
      await this.hold();
      await this.fetchSymbols(signal);
      await this.again();
      await this.describe();
    }, 'Cancelled; this server may have been asked for the PDB, nothing else was sent.');
  }

  // fetchSymbols asks the page's server for the PDB. While that is busy (it may
  // still be fetching the PDB itself) it is asked again, later each time.
  /** @param {AbortSignal} signal */
  async fetchSymbols(signal) {
    for (const seconds of SEVERAL_MS) {
      try {
        await this.ask('fetchSymbols', this.host.symbols);
        return;
      } catch (error) {
        const { code, text } = /** @type {any} */ (error);
        if (code !== 'server-busy' || !seconds) throw error;
        this.log(`${text} [server-busy]: asking again in ${seconds} s`);
      }
      for (let waited = 0; waited < seconds; waited++) {
        this.report('the symbol server is busy, seconds until it is asked again', waited, seconds);
        await this.sleep(1000, signal);
      }
    }
  }

  // stacks reads where every thread stood. The worker makes the dump's description
  // anew for it; it is the same dump.
  async stacks() {
    await this.run('Reading the stacks of all threads', 'threads', async () => {
      await this.hold();
      const answer = await this.ask('inspect', true), { session } = this;
      const summary = await this.read(session?.dump ? await this.ask('convert', session.options) : answer);
      this.change({ json: answer.json, summary, stacks: true });
      this.store.dispatch({ type: 'said', text: `${summary.threads.length} threads are shown.` });
    });
  }

  // readLog reads the kernel's log: out of the core, or the file itself where that is
  // one.
  async readLog() {
    return this.run('Reading the kernel log', 'kernel-log', async () => {
      await this.hold();
      const { session, source } = this;
      const log = session?.summary.file.format === 'log' && source ? await textOf(source.file) : await this.ask('linuxLog');
      this.change({ log });
      this.store.dispatch({ type: 'said', text: 'The kernel log is shown.' });
    });
  }

  // logLine shows the line of the log that a report begins with.
  /** @param {{title: string, seconds: number | null}} report */
  async logLine({ title, seconds }) {
    if (!this.session?.log) await this.readLog();
    const log = this.session?.log;
    if (!log) return;
    const line = lineOf(log, title, seconds);
    this.store.dispatch({ type: 'ui', panel: 'kernel-log', change: { line: line < 0 ? undefined : line, find: '' } });
    if (line < 0) this.tell('kernel-log', 'The log does not have this report any more.');
  }

  // demo opens the core that the server has for those who have none.
  async demo() {
    const { demo } = this.store.state.build;
    await this.fetched('the demo guest', demo, demo.split('/').pop(), false);
  }

  // sample opens what came with the page.
  /** @param {string} name */
  async sample(name) {
    const found = SAMPLES.find((s) => s.name === name), { build } = this.store.state;
    if (found) await this.fetched('the sample', `app/${build.hash}/${found.file}`, found.name, found.packed);
  }

  /**
   * fetched gets a file from where the page is, and opens it as if it was dropped.
   * @param {string} what
   * @param {string} url
   * @param {string} name
   * @param {boolean} packed
   */
  async fetched(what, url, name, packed) {
    /** @type {File | null} */
    let file = null;
    await this.run(`Fetching ${what}`, 'start', async (signal) => {
      const answer = await this.host.fetch(url, signal).catch((error) => {
        if (signal.aborted) throw error;
        throw this.engine.fault('input-unreadable', `this server could not be reached for ${what}`, ['is it still running? start it again, or open a core of your own']);
      });
      if (!answer.ok) throw this.engine.fault('input-unreadable', `this server answered ${answer.status} for ${what}`);
      if (packed && typeof DecompressionStream === 'undefined') throw this.engine.fault('input-unreadable', 'this browser is too old to unpack the sample', ['use one of 2023 or later, or open a core of your own']);
      const blob = packed && answer.body ? await new Response(answer.body.pipeThrough(new DecompressionStream('gzip'))).blob() : await answer.blob();
      file = new File([blob], name);
    });
    if (file) await this.take({ files: [file], handles: [], folders: [], via: 'demo' });
  }

  // reopen opens again a file that changed: by its handle, where the browser gave
  // one, else it has to be picked.
  async reopen() {
    const { source } = this;
    const handle = source && await source.handle;
    if (!handle) {
      this.host.pick('file');
      return;
    }
    const file = await handle.getFile().catch(() => null);
    if (!file) {
      this.tell('bar', 'It is not there any more: choose another.');
      return;
    }
    this.close();
    await this.take({ files: [file], handles: [handle], folders: [], via: 'again' });
  }

  // The files that were opened before: see recent.js.

  async listRecent() {
    this.store.dispatch({ type: 'recent', recent: await this.host.recent.recent().catch(() => []) });
  }

  /**
   * remember keeps the way back to a file that was opened. A browser that does not
   * let it is none that has such.
   * @param {any} handle
   * @param {File} file
   */
  async remember(handle, file) {
    await this.host.recent.remember(handle, file).catch((error) => this.log(`${file.name} is not in the list of files opened before: ${error}`));
  }

  /** @param {number} [id] without: all */
  async forgetRecent(id) {
    await this.host.recent.forget(id).catch(() => {});
    await this.listRecent();
  }

  /** @param {import('./recent.js').Recent} recent */
  async openRecent({ id, name, handle }) {
    let file;
    try {
      file = await this.host.recent.again(handle);
    } catch {
      this.tell('start', `${name} is not where it was: it is off the list.`);
      await this.forgetRecent(id);
      return;
    }
    if (file) await this.take({ files: [file], handles: [handle], folders: [], via: 'recent' });
    else this.tell('start', `${name} was not opened: this page may not read it.`);
  }

  /** @param {Source} source */
  async openAnyway(source) {
    await this.run(`Inspecting ${source.file.name}`, 'bar', () => this.open(source, [], true));
  }

  // openNext opens what came while something ran.
  async openNext() {
    const { next } = this.store.state;
    this.store.dispatch({ type: 'taken' });
    if (!next.length) return;
    await this.take({ files: next.flatMap((n) => n.files), handles: next.flatMap((n) => n.files.map((_, i) => n.handles[i] || null)), folders: next.flatMap((n) => n.folders), via: 'next' });
  }

  close() {
    this.release();
    this.source = null;
    this.store.dispatch({ type: 'closed' });
    this.listCached();
    this.listRecent();
  }

  // The PDBs: those that wait, and those that the browser keeps.

  /** @param {string} id */
  takeBack(id) {
    this.store.dispatch({ type: 'pdbs', pdbs: this.store.state.pdbs.filter((p) => p.id !== id) });
    this.store.dispatch({ type: 'dismiss', at: 'start' });
  }

  async listCached() {
    await this.started();
    if (this.store.state.job) return;
    this.store.dispatch({ type: 'cached', cached: await this.engine.call('cached').catch(() => []) });
  }

  /** @param {string} key */
  async forget(key) {
    await this.run('Deleting a PDB', 'start', async () => {
      await this.ask('forget', key);
      this.store.dispatch({ type: 'cached', cached: await this.ask('cached') });
      this.tell('start', `${key.split('/')[0]} is deleted from this browser.`);
    });
  }
}
