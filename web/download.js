// Making the dump's Blob out of the description that the Go program gives.
import { blobTree } from './blobtree.js';

// Firefox stops short when it saves a tree of many thousand parts, and Chromium
// slows down: beyond this the dump is streamed into a Blob instead.
export const MAX_PARTS = 4000;

// dumpBlob gives the dump as a Blob. The description is {size, verbatim, layout,
// literals}: layout is pairs of numbers, [offset in the file, bytes] or
// [-1, bytes of the literals, in order]; verbatim says that it is complete.
export async function dumpBlob(engine, file) {
  const d = await engine.call('parts');
  if (!d.verbatim || d.layout.length / 2 > MAX_PARTS) {
    return engine.call('stream', d.size);
  }
  const parts = [];
  for (let i = 0, used = 0; i < d.layout.length; i += 2) {
    const at = d.layout[i], bytes = d.layout[i + 1];
    if (at < 0) {
      parts.push(d.literals.subarray(used, used + bytes));
      used += bytes;
    } else {
      parts.push(file.slice(at, at + bytes));
    }
    if (i % 1000 === 998) await new Promise((next) => setTimeout(next)); // the page's thread is not ours alone
  }
  const blob = await blobTree(parts);
  if (blob.size !== d.size) throw engine.fault('browser-save', `the browser made ${blob.size} of ${d.size} bytes`);
  return blob;
}

// saveByPicker writes the Blob to the place the user picks and gives false when
// the user thought better of it.
export async function saveByPicker(engine, blob, name, report, signal) {
  let handle;
  try {
    handle = await showSaveFilePicker({ suggestedName: name, types: [{ description: 'Windows crash dump', accept: { 'application/octet-stream': ['.dmp'] } }] });
  } catch (error) {
    if (error.name === 'AbortError') return false;
    throw engine.fault('browser-save', `the browser refused the place: ${error.message}`);
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
    throw engine.fault('browser-save', `the browser could not save ${blob.size} bytes: ${error.message}`);
  }
  return true;
}
