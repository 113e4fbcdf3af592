// A Blob made of a stream: the browser writes it to disk as it comes, so neither
// the worker nor the page holds it. It works over plain http too.

const CHUNK = 1 << 20;

/**
 * streamBlob reads size bytes and gives a Blob. A failing read ends it with that
 * read's error; a browser that has no room for it gives the code browser-save.
 * @param {number} size
 * @param {(offset: number, count: number) => Promise<Uint8Array<ArrayBuffer>>} read
 * @param {(done: number) => void} report
 */
export async function streamBlob(size, read, report) {
  let offset = 0, failure = null;
  const stream = new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      try {
        const bytes = await read(offset, Math.min(CHUNK, size - offset));
        offset += bytes.length;
        report(offset);
        controller.enqueue(bytes);
        if (offset >= size) controller.close();
      } catch (error) {
        failure = error;
        controller.error(error);
      }
    },
  }, { highWaterMark: 0 });
  try {
    const blob = await new Response(stream).blob();
    if (blob.size !== size) throw { code: 'browser-save', text: `the browser stored ${blob.size} of ${size} bytes`, remedy: [] };
    return blob;
  } catch (thrown) {
    const error = /** @type {any} */ (thrown);
    if (failure) throw failure;
    if (error.code === 'browser-save') throw error;
    // Chromium: TypeError "Failed to fetch"; Firefox: AbortError.
    throw { code: 'browser-save', text: `the browser could not store ${size} bytes (${error.name})`, remedy: [] };
  }
}
