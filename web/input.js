// What was dropped, picked or pasted: which of it is of use.

/**
 * A file with what was found of it: see package identify.
 * @typedef {object} Found
 * @property {File} file
 * @property {any} handle
 * @property {string} name
 * @property {string} id
 * @property {string} class
 * @property {import('./store.js').Fault | null} error why it is no core to open
 */

/** @typedef {{name: string, class: string, error: import('./store.js').Fault | null}} Rest */

// isPasted tells pasted text; boot.js names it.
/** @param {File} file */
export function isPasted(file) {
  return file.name === 'pasted.log' && file.type === 'text/plain';
}

// What can be opened, the best first.
const OPENS = /** @type {((f: Found) => boolean)[]} */ ([
  (f) => f.class === 'core' && !f.error,
  (f) => f.id === 'kernel-log',
  (f) => f.class === 'log', // some text: it is looked into
]);

// What can have source lines for a Linux core or log: a vmlinux, a .ko.debug.
const LINES = ['elf-program', 'elf-object', 'elf-library'];

/**
 * sort chooses the file to open. PDBs go with it, and debugging information where
 * there is something that it can be for; the rest is left aside.
 * @param {Found[]} found
 * @param {string[]} folders
 * @param {boolean} [open] something is open already
 * @returns {{chosen: Found | null, pdbs: File[], lines: File[], rest: (Found | Rest)[]}}
 */
export function sort(found, folders, open = false) {
  const chosen = OPENS.map((opens) => found.find(opens)).find(Boolean) || null;
  const lines = chosen || open ? found.filter((f) => LINES.includes(f.id)) : [];
  return {
    chosen, pdbs: found.filter((f) => f.id === 'pdb').map((f) => f.file), lines: lines.map((f) => f.file),
    rest: [...found.filter((f) => f !== chosen && f.id !== 'pdb' && !lines.includes(f)), ...folders.map((name) => ({ name, class: 'folder', error: null }))],
  };
}

const WHY = /** @type {Record<string, string>} */ ({ core: 'one core is opened at a time', log: 'one file is opened at a time', folder: 'this is a folder' });

/**
 * leftAside names what is not opened, each with its reason.
 * @param {Rest[]} rest
 */
export function leftAside(rest) {
  return `Left aside: ${rest.map((r) => `${r.name} (${WHY[r.class] || r.error?.text})`).join('; ')}.`;
}
