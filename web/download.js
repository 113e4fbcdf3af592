// Making the dump's Blob out of the description that the Go program gives.
import { blobTree, zeros } from './blobtree.js';

// Firefox stops short when it saves a tree of many thousand parts, and Chromium
// slows down: beyond this the dump is streamed into a Blob instead.
export const MAX_PARTS = 4000;

// What the program alone can make is made at once up to this many bytes: a second
// or two. More is offered to be prepared.
const AT_ONCE = 64 << 20;

// What the first number of a part says where it is not a file's.
const LITERAL = -1, ZERO = -2, COMPUTED = -3;

/**
 * What the Go program says of a dump: layout is three numbers a part, [number of
 * the file, offset there, bytes], or [LITERAL, 0, bytes of the literals, in
 * order], [ZERO, 0, bytes], or [COMPUTED, 0, bytes that only the program can make].
 * @typedef {{size: number, layout: Float64Array, literals: Uint8Array}} Description
 */

// streamed reports whether a dump of this description takes its time to make.
/** @param {Description} description */
export function streamed({ layout }) {
  let computed = 0;
  for (let i = 0; i < layout.length; i += 3) if (layout[i] === COMPUTED) computed += layout[i + 2];
  return computed > AT_ONCE || layout.length / 3 > MAX_PARTS;
}

/**
 * dumpBlob gives a dump as a Blob. Each part that must be computed is streamed into
 * a Blob of its own, and nothing else is; a dump of very many parts is streamed
 * whole.
 * @param {import('./engine.js').EngineLike} engine
 * @param {Description} description
 * @param {File} file
 */
export async function dumpBlob(engine, description, file) {
  const { size, layout, literals } = description, parts = [];
  if (layout.length / 3 > MAX_PARTS) return engine.call('stream', 0, size);
  for (let i = 0, used = 0, place = 0; i < layout.length; i += 3) {
    const from = layout[i], at = layout[i + 1], bytes = layout[i + 2];
    if (from === LITERAL) {
      parts.push(literals.subarray(used, used + bytes));
      used += bytes;
    } else if (from === ZERO) {
      parts.push(...await zeros(bytes));
    } else if (from === COMPUTED) {
      parts.push(await engine.call('stream', place, bytes));
    } else {
      parts.push(file.slice(at, at + bytes));
    }
    place += bytes;
    if (i % 1500 === 1497) await new Promise((next) => setTimeout(next)); // the page's thread is not ours alone
  }
  const blob = await blobTree(parts);
  if (blob.size !== size) throw engine.fault('browser-save', `the browser made ${blob.size} of ${size} bytes`);
  return blob;
}

/**
 * saveByPicker writes the Blob to the place the user picks and gives false when
 * the user thought better of it.
 * @param {import('./engine.js').EngineLike} engine
 * @param {Blob} blob
 * @param {string} name
 * @param {(stage: string, done: number, total: number) => void} report
 * @param {AbortSignal} signal
 */
export async function saveByPicker(engine, blob, name, report, signal) {
  let handle;
  try {
    handle = await showSaveFilePicker({ suggestedName: name, types: [{ description: 'Windows crash dump', accept: { 'application/octet-stream': ['.dmp'] } }] });
  } catch (error) {
    const { name: kind, message } = /** @type {Error} */ (error);
    if (kind === 'AbortError') return false;
    throw engine.fault('browser-save', `the browser refused the place: ${message}`);
  }
  let done = 0;
  const count = new TransformStream({
    transform(chunk, controller) {
      done += chunk.length;
      report('saving', done, blob.size);
      controller.enqueue(chunk);
    },
  });
  try {
    await blob.stream().pipeThrough(count).pipeTo(await handle.createWritable(), { signal });
  } catch (error) {
    if (signal.aborted) {
      // The picker made an empty file, unless there was one: that is as it was.
      if ((await handle.getFile()).size === 0) await handle.remove?.();
      throw engine.fault('cancelled');
    }
    // Chromium says "network error" of a core that changed.
    await engine.call('unchanged');
    throw engine.fault('browser-save', `the browser could not save ${blob.size} bytes: ${/** @type {Error} */ (error).message}`);
  }
  return true;
}
