// An engine and a host that are no browser: what the session asks of them is
// written down, and answered as the test says.
import { Store } from '../../store.js';
import { Controller } from '../../session.js';

// summary is that of a Windows core that can be converted.
export function summary(name, change = {}) {
  return {
    file: { name, size: 8, format: 'elf' }, guest: { os: 'windows', system_time: '' }, symbols: { status: 'none-needed', key: 'k.pdb/1/k.pdb' },
    convert: { possible: true, needs: [] }, warnings: [], reports: [], cpus: [], memory: { bytes: 0, runs: [] }, ...change,
  };
}

// FakeEngine answers the worker's methods. Files are what their contents say:
// core, linux, broken, pdb, other-pdb, log, text, folder…
export class FakeEngine {
  constructor() {
    this.calls = [];
    this.generation = 0;
    this.ready = Promise.resolve();
    this.open = null;
    this.parts = { size: 8, slow: false, layout: [0, 0, 8], literals: new Uint8Array(0) };
    this.before = async () => {}; // a test's own, ahead of an answer
  }

  fault(code, text, remedy) { return { code, text: text || code, remedy: remedy || [] }; }

  async call(method, ...args) {
    this.calls.push(['open', 'identify', 'give', 'debug'].includes(method) ? `${method} ${args[0].name}` : method);
    await this.before(method, ...args);
    if (!this[`_${method}`]) throw new Error(`nobody asked for ${method}`);
    return this[`_${method}`](...args);
  }

  // whole is asked for by files that the first program does not read.
  async whole() { return false; }

  async cancel() {
    this.cancelled?.();
    return true;
  }

  async _identify(file) {
    const what = await file.text();
    const answer = (id, kind, error = null) => ({ id, class: kind, noun: id, error: error && this.fault(error, `this is ${id}`) });
    switch (what.split(' ')[0]) {
      case 'core': case 'linux': case 'broken': case 'disk': return answer('elf', 'core');
      case 'pdb': case 'other-pdb': return answer('pdb', 'symbols', 'is-symbols');
      case 'packed-pdb': return answer('cabinet', 'symbols', 'symbols-compressed');
      case 'log': return answer('kernel-log', 'log', 'is-log');
      case 'vmlinux': return answer('elf-program', 'other', 'other-format');
      case 'text': return answer('text', 'log', 'unknown-format');
      case 'gone': throw this.fault('file-changed');
      default: return answer('a picture', 'other', 'other-format');
    }
  }

  async _readPDB(file) { return { id: `ID-${await file.text()}` }; }
  async _cached() { return []; }
  async _forget() {}
  async _open(file, mark, snapshot) { this.open = await file.text(); this.name = file.name; this.snapshot = snapshot; this.image = false; }
  async _proof() { return `proof of ${this.open}`; }
  async _recall() {}
  async _unchanged() { if (this.changed) throw this.fault('file-changed'); }
  async _hashRate() { return 50e6; }
  async _sha256() { if (!this.image) throw this.fault('internal', 'no image'); return 'abcd'; }
  async _parts() { return this.parts; }
  async _stream(size) { return new Blob([new Uint8Array(size)]); }
  async _linuxLog() { return 'the log'; }
  async _debug(file) {
    const used = !(await file.text()).includes('another');
    return this.answer({ file: { name: this.name, size: 1, format: 'elf' }, guest: { os: 'linux' }, symbols: {},
      linux: { release: '6.8.0', debug: used ? [{ name: file.name, build_id: 'ab', module: '', bytes_read: 2048 }] : [] },
      warnings: used ? [] : [{ code: 'debug-mismatch', text: 'of another build' }] });
  }

  async _give(file) {
    if (await file.text() !== 'pdb') throw this.fault('symbols-mismatch', 'this PDB belongs to another build');
    this.pdb = true;
  }

  answer(change, error) { return { json: JSON.stringify(summary(this.name, change)), error }; }

  async _inspect() {
    switch (this.open.split(' ')[0]) {
      case 'core': return this.answer(this.pdb ? { symbols: { status: 'found', key: 'k.pdb/1/k.pdb', from: { kind: 'file', name: 'k.pdb' } } } : {});
      case 'disk': {
        const snapshots = [{ id: '1', name: 'before', taken: '2026-11-28T03:55:54Z', bytes: 1555895 }, { id: '2', name: '', taken: '2026-11-29T00:00:00Z', bytes: 5 }].map((s) => ({ ...s, opened: s.id === this.snapshot }));
        return this.answer({ file: { name: this.name, size: 8, format: 'qcow2', snapshots } }, this.snapshot ? undefined : this.fault('snapshot-choice', 'two snapshots'));
      }
      case 'linux': return this.answer({}, this.fault('is-linux'));
      case 'broken': return this.answer({ guest: { os: 'unknown' }, symbols: { status: '', key: '' }, warnings: [{ code: 'truncated', text: 'the file ends early' }], error: { code: 'kernel-paged-state', text: 'no page tables' } }, this.fault('kernel-paged-state', 'no page tables'));
      case 'log': case 'text': return this.answer({ file: { name: this.name, size: 1, format: 'log' }, error: { code: 'is-log' } }, this.fault('is-log'));
      default: return this.answer({ file: { name: this.name, size: 1, format: '' }, error: { code: 'unknown-format', text: 'no core' } }, this.fault('unknown-format', 'no core'));
    }
  }

  async _races() {
    const format = this.open.startsWith('linux') ? 'elf' : 'log';
    return this.answer({ file: { name: this.name, size: 1, format }, guest: { os: 'linux' }, symbols: {} });
  }

  async _convert() {
    this.image = true;
    return this.answer({ dump: { type: 'full', bytes: this.parts.size, parts: 1 } });
  }
}

// desk gives a controller at an engine that is none, its store and what the host
// was asked for.
export function desk(state = {}) {
  const engine = new FakeEngine(), store = new Store({ ready: true, ...state }), asked = [], kept = [];
  let now = 0;
  const host = {
    now: () => ++now,
    dumpBlob: async () => new Blob(['the dump']),
    streamed: (d) => d.slow,
    address: (blob) => { asked.push('address'); return `blob:${blob.size}:${asked.length}`; },
    release: (url) => asked.push(`release ${url}`),
    saveByPicker: async () => true,
    pick: (id) => asked.push(`pick ${id}`),
    save: () => asked.push('save'),
    fetch: async () => { throw new TypeError('Failed to fetch'); },
    symbols: 'https://host/symbols',
    recent: {
      recent: async () => [...kept].reverse(),
      remember: async (handle, { name, size }) => { if (handle) kept.push({ id: kept.length + 1, name, size, handle }); },
      forget: async (id) => { kept.splice(0, kept.length, ...kept.filter((r) => id !== undefined && r.id !== id)); },
      again: async (handle) => handle.file(),
    },
  };
  const controller = new Controller(engine, store, host);
  const file = (name, text) => new File([text], name);
  const drop = (...files) => controller.take({ files, handles: [], folders: [], via: 'drop' });
  return { engine, store, host, asked, controller, file, drop };
}
