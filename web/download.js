// Making the dump's Blob out of the description that the Go program gives.
import { blobTree } from './blobtree.js';

// Firefox stops short when it saves a tree of many thousand parts, and Chromium
// slows down: beyond this the dump is streamed into a Blob instead.
const MAX_PARTS = 4000;

/**
 * What the Go program says of a dump.
 * @typedef {{size: number, verbatim: boolean, layout: Float64Array, literals: Uint8Array}} Description
 */

// streamed reports whether a dump of this description is to be streamed. The
// description is {size, verbatim, layout, literals}: layout is pairs of numbers,
// [offset in the file, bytes] or [-1, bytes of the literals, in order]; verbatim
// says that it is complete.
/** @param {Description} description */
export function streamed(description) {
  return !description.verbatim || description.layout.length / 2 > MAX_PARTS;
}

/**
 * dumpBlob gives a dump that need not be streamed, as a Blob.
 * @param {import('./engine.js').EngineLike} engine
 * @param {Description} description
 * @param {File} file
 */
export async function dumpBlob(engine, description, file) {
  const { size, layout, literals } = description, parts = [];
  for (let i = 0, used = 0; i < layout.length; i += 2) {
    const at = layout[i], bytes = layout[i + 1];
    if (at < 0) {
      parts.push(literals.subarray(used, used + bytes));
      used += bytes;
    } else {
      parts.push(file.slice(at, at + bytes));
    }
    if (i % 1000 === 998) await new Promise((next) => setTimeout(next)); // the page's thread is not ours alone
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
