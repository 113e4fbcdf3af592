// One Blob of many parts, such that Firefox streams it when it is saved.
//
// From the ninth part on, Firefox's parent process holds a whole Blob in memory
// while saving. So parts are grouped by eight, each group is sent through a pair
// of BroadcastChannels, which makes it a reference held by the parent, and the
// results are grouped again until one Blob of at most eight is left. Groups of
// sixteen do not work, nor does a MessageChannel. Chromium takes the same path.

const GROUP = 8;
const TRIPS_AT_ONCE = 32;

/**
 * blobTree gives a Blob of the parts, in order.
 * @param {any[]} parts Blobs and Uint8Arrays
 */
export async function blobTree(parts) {
  let level = parts;
  while (level.length > GROUP) {
    const groups = [];
    for (let i = 0; i < level.length; i += GROUP) groups.push(level.slice(i, i + GROUP));
    level = await send(groups);
  }
  return new Blob(level, { type: 'application/octet-stream' });
}

// withMark gives the file with some bytes of nobody's behind it, by which a reader sees
// that the file has grown. Firefox keeps the size of a file as it was picked and
// clips every range to it; but a Blob that came through the parent process is
// read there as one stream, file after mark, so the place of the mark holds the
// first bytes that were appended. Other browsers refuse a file that changed.
/**
 * @param {File} file
 * @param {Uint8Array} mark
 */
export async function withMark(file, mark) {
  const [blob] = await send([[file, mark]]);
  return blob;
}

const ZEROS = 1 << 20;

/**
 * zeros gives Blobs that together are so many bytes of zero. One Blob is taken
 * eight times to make the next larger one, so a terabyte costs a few trips.
 * @param {number} bytes
 */
export async function zeros(bytes) {
  /** @type {any[]} */
  const parts = [];
  if (bytes % ZEROS) parts.push(new Uint8Array(bytes % ZEROS));
  let blob = new Blob([new Uint8Array(ZEROS)]);
  for (let left = Math.floor(bytes / ZEROS); left > 0; left = Math.floor(left / GROUP)) {
    for (let i = 0; i < left % GROUP; i++) parts.push(blob);
    if (left >= GROUP) [blob] = await send([Array(GROUP).fill(blob)]);
  }
  return parts;
}

/**
 * @param {any[][]} groups
 * @returns {Promise<Blob[]>}
 */
async function send(groups) {
  const name = `coredrop-${[...crypto.getRandomValues(new Uint32Array(4))].join('-')}`;
  const out = new BroadcastChannel(name), back = new BroadcastChannel(name);
  const waiting = new Map();
  back.onmessage = ({ data: { index, blob } }) => {
    waiting.get(index)(blob);
    waiting.delete(index);
  };
  const results = new Array(groups.length);
  try {
    for (let start = 0; start < groups.length; start += TRIPS_AT_ONCE) {
      const batch = [];
      for (let index = start; index < Math.min(start + TRIPS_AT_ONCE, groups.length); index++) {
        batch.push(new Promise((arrived) => waiting.set(index, arrived)).then((blob) => { results[index] = blob; }));
        out.postMessage({ index, blob: new Blob(groups[index]) });
      }
      await Promise.all(batch);
    }
  } finally {
    out.close();
    back.close();
  }
  return results;
}
