// The page's end of the worker: calls, progress, cancelling, and a new worker
// where the old one died or did not answer.

// A cancel that the worker has not answered by then ends the worker.
const CANCEL_MS = 500;

// The catalogue is the Go program's: this is said when there is none.
const NO_PROGRAM = { remedy: ['reload the page; if that does not help, the host lacks files of it: coredrop.wasm, wasm_exec.js or web/worker.js'] };

export class Engine {
  // on.progress(stage, done, total), on.line(text), on.dead(text) are the
  // page's; wasmQuery is appended to the wasm's address ("?v=HASH").
  constructor(on, wasmQuery) {
    this.on = on;
    this.query = wasmQuery;
    this.catalogue = {};
    this.next = 1;
    this.start();
  }

  start() {
    this.calls = new Map();
    this.ready = new Promise((resolve) => { this.isReady = resolve; });
    const worker = new Worker(new URL('worker.js' + this.query, import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }) => { if (worker === this.worker) this.receive(data); };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker === this.worker) this.died(event.message || 'the worker could not be started');
    };
    this.worker = worker;
  }

  receive(data) {
    switch (data.event) {
      case 'ready': this.catalogue = data.catalogue; this.isReady(); return;
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

  // call runs a method of the worker's.
  call(method, ...args) {
    return new Promise((resolve, reject) => {
      const id = this.next++;
      this.calls.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, args });
    });
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

  // restart replaces the worker; every call in flight ends with the code.
  restart(code, text) {
    const calls = [...this.calls.values()];
    this.worker.terminate();
    this.start();
    for (const call of calls) call.reject(this.fault(code, text));
  }

  died(text) {
    this.on.line(`the worker died: ${text}`);
    const busy = this.calls.size > 0;
    this.deaths = (this.deaths || 0) + 1;
    if (this.deaths > 3) { // it would die again at once
      const calls = [...this.calls.values()];
      this.calls.clear();
      for (const call of calls) call.reject(this.fault('internal', text));
      if (!busy) this.on.dead(this.fault('internal', text));
      return;
    }
    this.restart('internal', `the worker died and was started again: ${text}`);
    if (!busy) this.on.dead(this.fault('internal', `the worker died and was started again: ${text}`));
  }

  // fault words an error by the catalogue: code, text, remedy.
  fault(code, text, remedy) {
    const row = this.catalogue[code] || (code === 'internal' ? NO_PROGRAM : {});
    return { code, text: text || row.text || code, remedy: remedy && remedy.length ? remedy : row.remedy || [] };
  }
}
