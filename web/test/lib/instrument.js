// The built page with a worker that a test looks into: the worker's own text
// with a few lines behind it that wrap how files are read.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './files.js';
import { staticHost } from './servers.js';

// probe runs in the worker. It counts what is read of files, slows or stops
// reads when told to, and answers on a channel.
function probe() {
  const counts = { slices: 0, reads: 0, bytes: 0, largest: 0, past: 0 };
  let delay = 0, hang = false;
  const slice = Blob.prototype.slice, read = FileReaderSync.prototype.readAsArrayBuffer;
  Blob.prototype.slice = function (...range) {
    counts.slices++;
    return slice.apply(this, range);
  };
  FileReaderSync.prototype.readAsArrayBuffer = function (blob) {
    counts.reads++;
    counts.bytes += blob.size;
    counts.largest = Math.max(counts.largest, blob.size);
    for (const end = performance.now() + delay; performance.now() < end;);
    if (hang) channel.postMessage({ hung: true });
    while (hang);
    return read.call(this, blob);
  };
  const channel = new BroadcastChannel('test-probe');
  channel.onmessage = ({ data }) => {
    if (data.delay !== undefined) delay = data.delay;
    if (data.hang) hang = true;
    if (data.die) setTimeout(() => { throw new Error('the test ends this worker'); });
    if (data.ask) channel.postMessage({ answer: { ...counts, memory: memory.buffer.byteLength } });
  };
}

// instrumented serves the page with the probe in its worker.
export function instrumented() {
  const worker = readFileSync(join(root, 'web/worker.js'), 'utf8');
  return staticHost('/', { 'web/worker.js': `${worker}\n(${probe})();\n` });
}

// tell sends the probe a message and waits until it has arrived, unless it ends
// the worker's answers.
export async function tell(view, message) {
  await view.page.evaluate((m) => {
    globalThis.testProbe ??= new BroadcastChannel('test-probe');
    globalThis.testProbe.postMessage(m);
  }, message);
  if (!message.die) await counts(view);
}

// hung resolves when the worker, told to hang, does: what is cancelled before that
// finds a worker that still listens. Begin to wait before it can happen.
export function hung(view) {
  return view.page.evaluate(() => new Promise((resolve) => {
    const channel = new BroadcastChannel('test-probe');
    channel.onmessage = ({ data }) => { if (data.hung) { channel.close(); resolve(true); } };
  }));
}

// counts asks the probe.
export function counts(view) {
  return view.page.evaluate(() => new Promise((resolve) => {
    const channel = new BroadcastChannel('test-probe');
    channel.onmessage = ({ data }) => { if (data.answer) { channel.close(); resolve(data.answer); } };
    channel.postMessage({ ask: true });
  }));
}
