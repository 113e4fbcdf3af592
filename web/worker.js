// The worker owns the Go program. It answers {id, method, args} with {id, value}
// or {id, error: {code, text, remedy}} and sends {event: …} in between. Files
// are read here, synchronously, so the page's thread never waits.
import '../wasm_exec.js';
import { streamBlob } from './stream.js';
import { withMark } from './blobtree.js';

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

async function start() {
  const go = new Go();
  const url = new URL('../coredrop.wasm' + self.location.search, import.meta.url);
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`the server answered ${answer.status} for coredrop.wasm`);
  let made;
  try {
    made = await WebAssembly.instantiateStreaming(answer.clone(), go.importObject);
  } catch (error) {
    // A static server without the type application/wasm.
    line(`streaming compilation refused: ${error}`);
    made = await WebAssembly.instantiate(await answer.arrayBuffer(), go.importObject);
  }
  memory = made.instance.exports.mem;
  go.run(made.instance).then(() => postMessage({ event: 'dead', text: 'the program ended' }));
  for (let i = 0; !globalThis.coredrop && i < 1000; i++) await new Promise((next) => setTimeout(next, 1));
  if (!globalThis.coredrop) throw new Error('the program did not start');
  return globalThis.coredrop.catalogue();
}

const ready = start();
ready.then(
  (catalogue) => postMessage({ event: 'ready', catalogue }),
  (error) => postMessage({ event: 'dead', text: String(error) }),
);

const methods = {
  open: async (file) => globalThis.coredrop.open(file, await withMark(file), progress, line),
  give: (file) => globalThis.coredrop.give(file),
  inspect: (threads) => globalThis.coredrop.inspect(threads),
  fetchSymbols: (base) => globalThis.coredrop.fetchSymbols(base),
  convert: (options) => globalThis.coredrop.convert(options),
  races: () => globalThis.coredrop.races(),
  linuxLog: () => globalThis.coredrop.linuxLog(),
  debug: (file) => globalThis.coredrop.debug(file),
  parts: () => globalThis.coredrop.parts(),
  sha256: () => globalThis.coredrop.sha256(),
  unchanged: () => globalThis.coredrop.unchanged(),
  cancel: () => globalThis.coredrop.cancel(),
  stream: (size) => streamBlob(size, globalThis.coredrop.read, (done) => progress('preparing the dump', done, size)),
  async statistics() {
    return { ...(await globalThis.coredrop.statistics()), memory: memory.buffer.byteLength };
  },
};

addEventListener('message', async ({ data: { id, method, args } }) => {
  try {
    await ready;
    postMessage({ id, value: await methods[method](...args) });
  } catch (error) {
    postMessage({ id, error: error && typeof error.code === 'string' ? error : { code: 'internal', text: String(error), remedy: [] } });
  }
});
