// The worker owns the Go program. Its first message brings the compiled module;
// then it answers {id, method, args} with {id, value} or {id, error: {code, text,
// remedy}} and sends {event: …} in between. Files are read here, synchronously, so
// the page's thread never waits.
import '../wasm_exec.js';
import { streamBlob } from './stream.js';
import { withMark } from './blobtree.js';
import { apart } from './pieces.js';

// Progress is passed on at most ten times a second, but a stage's first and
// last count always are.
const PROGRESS_MS = 100;
let lastStage = '', lastTime = 0, memory = null;

function progress(stage, done, total) {
  const now = performance.now();
  if (stage === lastStage && done !== total && now - lastTime < PROGRESS_MS) return;
  lastStage = stage;
  lastTime = now;
  postMessage({ event: 'progress', stage, done, total });
}

function line(text) {
  postMessage({ event: 'line', text });
}

async function start(module) {
  const go = new Go(), instance = await WebAssembly.instantiate(module, go.importObject);
  memory = instance.exports.mem;
  go.run(instance).then(() => postMessage({ event: 'dead', text: 'the program ended' }));
  for (let i = 0; !globalThis.coredrop && i < 1000; i++) await new Promise((next) => setTimeout(next, 1));
  if (!globalThis.coredrop) throw new Error('the program did not start');
  return globalThis.coredrop.catalogue();
}

let begin;
const ready = new Promise((resolve) => { begin = resolve; }).then(start);
ready.then(
  (catalogue) => postMessage({ event: 'ready', catalogue }),
  (error) => postMessage({ event: 'dead', text: String(error) }),
);

// core calls a method of the program; the one of a first visit lacks some.
const core = (method) => (...args) => {
  if (!globalThis.coredrop[method]) throw { code: 'needs-whole', text: '', remedy: [] };
  return globalThis.coredrop[method](...args);
};

// What the page may call: the program's methods, and what needs the browser.
const methods = {
  ...Object.fromEntries(['identify', 'readPDB', 'cached', 'forget', 'proof', 'recall', 'give', 'inspect', 'fetchSymbols', 'convert',
    'races', 'linuxLog', 'debug', 'parts', 'sha256', 'hashRate', 'unchanged', 'cancel'].map((name) => [name, core(name)])),
  open: async (file, mark, snapshot = '') => globalThis.coredrop.open(file, await withMark(file, mark), progress, line, snapshot),
  stream: (at, size) => streamBlob(size, (offset, count) => globalThis.coredrop.read(at + offset, count), (done) => progress('preparing the dump', done, size)),
  async statistics() {
    return { ...(await globalThis.coredrop.statistics()), memory: memory.buffer.byteLength };
  },
};

addEventListener('message', async ({ data: { module, id, method, args } }) => {
  if (module) {
    begin(module);
    return;
  }
  try {
    await ready;
    const value = await methods[method](...args);
    // A long summary comes in pieces too.
    postMessage({ id, value: typeof value?.json === 'string' ? { ...value, pieces: apart(value.json) } : value });
  } catch (error) {
    postMessage({ id, error: error && typeof error.code === 'string' ? error : { code: 'internal', text: String(error), remedy: [] } });
  }
});
