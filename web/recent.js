// Files that were opened before, by their handles: a name, a size and a way back to
// the file, which the browser asks for again. Nothing of a file is kept. Chromium has
// such handles; elsewhere nothing is stored and nothing listed.

const DATABASE = 'coredrop-recent';
const FILES = 'files';
const MOST = 8;

/** @typedef {{id: number, name: string, size: number, handle: any}} Recent */

// able tells a handle by which a file can be opened on another visit.
/** @param {any} handle */
const able = (handle) => handle?.kind === 'file' && typeof handle.requestPermission === 'function';

/**
 * files does something with what is stored.
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T> | void} work
 * @returns {Promise<T | undefined>}
 */
function files(mode, work) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(FILES, { keyPath: 'id', autoIncrement: true });
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result, all = database.transaction(FILES, mode), asked = work(all.objectStore(FILES));
      all.oncomplete = () => { database.close(); resolve(asked?.result); };
      all.onabort = () => { database.close(); reject(all.error); };
    };
  });
}

/**
 * recent lists them, the latest first.
 * @returns {Promise<Recent[]>}
 */
export async function recent() {
  if (!('showOpenFilePicker' in window)) return [];
  const list = /** @type {Recent[]} */ (await files('readonly', (store) => store.getAll()) || []);
  return list.sort((a, b) => b.id - a.id);
}

/**
 * remember puts a file at the top of the list. One that is there already moves.
 * @param {any} handle or a promise of one
 * @param {File} file
 */
export async function remember(handle, { name, size }) {
  const held = await handle;
  if (!able(held)) return;
  const same = /** @type {number[]} */ ([]), list = await recent();
  for (const r of list) if (await held.isSameEntry(r.handle)) same.push(r.id);
  const old = list.filter((r) => !same.includes(r.id)).slice(MOST - 1).map((r) => r.id);
  await files('readwrite', (store) => {
    for (const id of [...same, ...old]) store.delete(id);
    store.add({ name, size, handle: held });
  });
}

/**
 * forget takes one off the list, or all of them.
 * @param {number} [id]
 */
export async function forget(id) {
  await files('readwrite', (store) => { if (id === undefined) store.clear(); else store.delete(id); });
}

/**
 * again gives the file of a handle; the browser may ask its user first. null: it may
 * not be read.
 * @param {any} handle
 * @returns {Promise<File | null>}
 */
export async function again(handle) {
  if (await handle.queryPermission({ mode: 'read' }) !== 'granted' && await handle.requestPermission({ mode: 'read' }) !== 'granted') return null;
  return handle.getFile();
}

/**
 * picked lets files be picked such that they can be opened again. None: the picker
 * was closed.
 * @returns {Promise<{files: File[], handles: any[]}>}
 */
export async function picked() {
  const handles = /** @type {any[]} */ (await showOpenFilePicker({ multiple: true }).catch((error) => {
    if (error.name === 'AbortError') return [];
    throw error;
  }));
  return { files: await Promise.all(handles.map((h) => h.getFile())), handles };
}
