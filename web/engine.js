// The page's end of the worker: the program is fetched and compiled here, once;
// a worker runs it. Calls, progress, cancelling, and a new worker where the old
// one died or did not answer.

// A cancel that the worker has not answered by then ends the worker.
const CANCEL_MS = 500;

// So many workers in a row may die before they are ready.
const MAX_DEATHS = 3;

// A worker that is silent for so long is looked into: Firefox does not always say
// that one of its files is missing.
const SILENT_MS = 3000;

const ELSEWHERE = 'On the command line: coredrop convert CORE OUT.dmp';

/**
 * What the session needs of an engine; tests have one without a browser.
 * @typedef {object} EngineLike
 * @property {Promise<void>} ready never settles where the program cannot start
 * @property {number} generation counts the workers: a new one knows of no file
 * @property {(method: string, ...args: any[]) => Promise<any>} call
 * @property {() => Promise<boolean>} cancel
 * @property {() => Promise<boolean>} whole makes sure that the program reads everything; true: it is a new worker
 * @property {(code: string, text?: string, remedy?: import('./store.js').Step[]) => import('./store.js').Fault} fault
 */

/**
 * @typedef {object} Listener
 * @property {(stage: string, done: number, total: number) => void} progress
 * @property {(text: string) => void} line of the log
 * @property {(done: number, total: number) => void} loading bytes of the program
 * @property {(fault: import('./store.js').Fault) => void} dead a worker died while nothing ran
 * @property {(what: string, todo: string[]) => void} stopped the program cannot run
 */

/** @implements {EngineLike} */
export class Engine {
  /**
   * @param {Listener} on
   * @param {{answer: Promise<Response>, bytes: number, violations: string[], whole?: {url: string, bytes: number} | null}} program whole: what reads everything, where the program does not
   */
  constructor(on, program) {
    this.on = on;
    this.program = program;
    /** @type {Record<string, import('./store.js').Fault>} */
    this.catalogue = {};
    this.next = 1;
    this.generation = 0;
    this.deaths = 0;
    this.silent = false; // the worker has not spoken yet
    /** @type {Map<number, {resolve: (value: any) => void, reject: (error: any) => void}>} */
    this.calls = new Map();
    /** @type {Worker | null} */
    this.worker = null;
    /** @type {WebAssembly.Module | null} */
    this.module = null;
    this.isWhole = !program.whole;
    /** @type {Promise<void>} */
    this.ready = new Promise((resolve) => { this.isReady = resolve; });
    this.load();
  }

  async load() {
    try {
      this.module = await this.compile();
    } catch (error) {
      const { what, todo } = /** @type {any} */ (error);
      this.on.stopped(what || `The page’s program could not start: ${error}`, todo || ['Reload the page', ELSEWHERE]);
      return;
    }
    this.start();
  }

  async compile() {
    const { bytes, violations } = this.program;
    const again = ['Reload the page', 'Tell who runs this server, if that does not help', ELSEWHERE];
    const answer = await this.program.answer.catch(() => {
      throw { what: 'The page’s program could not start: coredrop.wasm could not be fetched; the server, the network, or an extension keeps it back.', todo: again };
    });
    if (!answer.ok) throw { what: `The page’s program could not start: the server answered ${answer.status} for coredrop.wasm.`, todo: again };
    const arrived = this.count(answer.clone());
    try {
      // A host may not know the type of it, and browsers insist on that one.
      if (/^application\/wasm\b/.test(answer.headers.get('Content-Type') || '')) return await WebAssembly.compileStreaming(answer);
      return await WebAssembly.compile(await answer.arrayBuffer());
    } catch (error) {
      if (violations.some((v) => /^(script|default)-src/.test(v)) || /content security policy|unsafe-eval|\bCSP\b/i.test(String(error))) {
        throw { what: 'The page’s program could not start: the server’s Content-Security-Policy forbids WebAssembly.', todo: ['Who runs this server adds \'wasm-unsafe-eval\' to its script-src', ELSEWHERE] };
      }
      const got = await arrived;
      if (got !== bytes) throw { what: `The page’s program could not start: coredrop.wasm did not arrive whole, ${got} of ${bytes} bytes.`, todo: again };
      throw { what: `The page’s program could not start: this browser does not take coredrop.wasm: ${error}`, todo: ['Use a newer browser', ELSEWHERE] };
    }
  }

  /**
   * count reports an answer's bytes as they come, and gives how many there were.
   * @param {Response} answer
   */
  async count(answer) {
    let done = 0;
    try {
      const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
      for (;;) {
        const { value, done: end } = await reader.read();
        if (end || !value) return done;
        done += value.length;
        this.on.loading(done, this.program.bytes);
      }
    } catch {
      return done; // who reads the other branch is told
    }
  }

  start() {
    /** @type {Worker} */
    let worker;
    try {
      worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
    } catch (error) {
      this.notStarted(String(error));
      return;
    }
    worker.onmessage = ({ data }) => { if (worker === this.worker) this.receive(data); };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker === this.worker) this.died(event.message || 'it could not be started');
    };
    this.worker = worker;
    this.silent = true;
    setTimeout(() => { if (worker === this.worker && this.silent) this.suspect(worker); }, SILENT_MS);
    worker.postMessage({ module: this.module });
  }

  /** @param {any} data */
  receive(data) {
    switch (data.event) {
      case 'ready':
        this.silent = false;
        this.catalogue = data.catalogue;
        this.deaths = 0;
        this.isReady?.();
        return;
      case 'progress': this.on.progress(data.stage, data.done, data.total); return;
      case 'line': this.on.line(data.text); return;
      case 'dead': this.died(data.text); return;
    }
    const call = this.calls.get(data.id);
    this.calls.delete(data.id);
    if (!call) return;
    if (data.error) call.reject(this.fault(data.error.code, data.error.text, data.error.remedy));
    else call.resolve(data.value);
  }

  /**
   * call runs a method of the worker's.
   * @param {string} method
   * @param {any[]} args
   * @returns {Promise<any>}
   */
  call(method, ...args) {
    return new Promise((resolve, reject) => {
      const id = this.next++;
      this.calls.set(id, { resolve, reject });
      this.worker?.postMessage({ id, method, args });
    });
  }

  // whole fetches the program that reads Linux guests, logs and what else a first
  // visit does without, and starts a worker with it. It gives whether it did: the
  // worker has no file open then.
  async whole() {
    const { whole } = this.program;
    if (this.isWhole || !whole) return false;
    const began = this.program;
    this.program = { ...began, answer: fetch(whole.url), bytes: whole.bytes };
    try {
      this.module = await this.compile();
    } catch (error) {
      this.program = began;
      throw this.fault('needs-whole', /** @type {any} */ (error).what || String(error));
    }
    this.isWhole = true;
    this.ready = new Promise((resolve) => { this.isReady = resolve; });
    this.restart('internal');
    await this.ready;
    return true;
  }

  // cancel ends what runs: by asking, and after half a second by force. It gives
  // whether the worker survived; if not, the file has to be opened again.
  async cancel() {
    const worker = this.worker, running = [...this.calls.keys()];
    if (running.length === 0) return true;
    this.call('cancel').catch(() => {});
    const idle = () => running.every((id) => !this.calls.has(id));
    for (const end = performance.now() + CANCEL_MS; performance.now() < end;) {
      await new Promise((next) => setTimeout(next, 20));
      if (idle() || worker !== this.worker) return worker === this.worker;
    }
    this.restart('cancelled');
    return false;
  }

  /**
   * restart replaces the worker; every call in flight ends with the code.
   * @param {string} code
   * @param {string} [text]
   */
  restart(code, text) {
    const calls = [...this.calls.values()];
    this.calls.clear();
    this.worker?.terminate();
    this.generation++;
    this.start();
    for (const call of calls) call.reject(this.fault(code, text));
  }

  /** @param {string} text */
  died(text) {
    this.on.line(`the worker died: ${text}`);
    this.deaths++;
    if (Object.keys(this.catalogue).length === 0) { // it never was ready
      this.worker?.terminate();
      this.worker = null;
      this.notStarted(text);
      return;
    }
    const busy = this.calls.size > 0;
    if (this.deaths > MAX_DEATHS) { // it would die again at once
      const calls = [...this.calls.values()], fault = this.fault('internal', `the worker cannot be started any more: ${text}`, ['reload the page; what was saved is saved']);
      this.calls.clear();
      for (const call of calls) call.reject(fault);
      if (!busy) this.on.dead(fault);
      return;
    }
    const fault = this.fault('internal', `the worker died and was started again: ${text}`);
    this.restart('internal', fault.text);
    if (!busy) this.on.dead(fault);
  }

  /**
   * notStarted says why there is no worker.
   * @param {string} text
   */
  async notStarted(text) {
    if (this.program.violations.some((v) => /^(worker|child)-src/.test(v)) || /content security policy|\bCSP\b/i.test(text)) {
      this.on.stopped('The page’s program could not start: the server’s Content-Security-Policy forbids its worker.', ['Who runs this server adds worker-src \'self\'', ELSEWHERE]);
      return;
    }
    const fault = await this.faulty() || `its worker says ${text}.`;
    this.on.stopped(`The page’s program could not start: ${fault}`, ['Reload the page', 'Tell who runs this server, if that does not help', ELSEWHERE]);
  }

  /**
   * suspect looks whether a silent worker can ever speak.
   * @param {Worker} worker
   */
  async suspect(worker) {
    if (!await this.faulty() || worker !== this.worker || !this.silent) return;
    this.died('one of its files is missing');
  }

  // faulty says what is wrong with a file of the worker's, '' where nothing is.
  async faulty() {
    const faults = await Promise.all(['worker.js', 'stream.js', 'blobtree.js', 'pieces.js', '../wasm_exec.js'].map(async (name) => {
      const url = new URL(name, import.meta.url), file = url.pathname.split('/').pop();
      try {
        const answer = await fetch(url);
        await answer.text();
        const type = answer.headers.get('Content-Type') || 'nothing';
        if (!answer.ok) return `the server answered ${answer.status} for ${file}.`;
        return /javascript/.test(type) ? '' : `the server gives ${file} as ${type}; it must be text/javascript.`;
      } catch {
        return `${file} could not be fetched; the server, the network, or an extension keeps it back.`;
      }
    }));
    return faults.find((f) => f) || '';
  }

  /**
   * fault words an error by the catalogue: code, text, remedy.
   * @param {string} code
   * @param {string} [text]
   * @param {import('./store.js').Step[]} [remedy]
   */
  fault(code, text, remedy) {
    const row = this.catalogue[code];
    return { code, text: text || row?.text || code, remedy: remedy && remedy.length ? remedy : row?.remedy || [] };
  }
}
