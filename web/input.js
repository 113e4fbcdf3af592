// The ways a file comes in: the picker, a drop or a paste anywhere, the keyboard.

// PASTED names the file that pasted text becomes: the text of a kernel log.
const PASTED = 'pasted.log';

// isPasted tells pasted text.
export function isPasted(file) {
  return Boolean(file) && file.name === PASTED && file.type === 'text/plain';
}

// listen calls open(files) for picked, dropped and pasted files, folder(name) for a
// dropped folder, and keys[name]() for the shortcuts "open", "save" and "cancel".
export function listen({ input, overlay, open, folder, keys }) {
  input.addEventListener('change', () => {
    const files = [...input.files];
    input.value = ''; // so that picking the same file again is a change
    if (files.length) open(files);
  });

  const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes('Files');
  let depth = 0; // enter and leave come for every element on the way
  const show = (on) => { overlay.hidden = !on; };
  addEventListener('dragenter', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth++;
    show(true);
  });
  addEventListener('dragover', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
  });
  addEventListener('dragleave', (event) => {
    if (!carriesFiles(event)) return;
    depth = Math.max(0, depth - 1);
    show(depth > 0);
  });
  addEventListener('drop', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show(false);
    const files = [...event.dataTransfer.files];
    // A folder comes as a File too, one that cannot be read.
    const directory = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).find((entry) => entry && entry.isDirectory);
    if (directory) folder(directory.name);
    else if (files.length) open(files);
  });

  addEventListener('paste', (event) => {
    if (!event.clipboardData || event.target instanceof Element && event.target.matches('input[type=text], textarea')) return;
    const files = [...event.clipboardData.files], text = event.clipboardData.getData('text/plain');
    if (files.length === 0 && text.trim()) files.push(new File([text], PASTED, { type: 'text/plain' }));
    if (files.length === 0) return;
    event.preventDefault();
    open(files);
  });

  addEventListener('keydown', (event) => {
    const control = event.ctrlKey || event.metaKey;
    if (control && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'o') {
      event.preventDefault();
      keys.open();
    } else if (control && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 's') {
      event.preventDefault();
      keys.save();
    } else if (event.key === 'Escape') {
      keys.cancel();
    }
  });
}

// isKernelLog tells the text of a kernel log from other text: it has a race
// report, or lines that begin with the kernel's time stamps.
export async function isKernelLog(file) {
  const head = await file.slice(0, 1 << 16).text().catch(() => '');
  return /BUG: KCSAN/.test(head) || /^(?:<\d+>)?(?:.{0,80} kernel: )?\[ *\d+\.\d{6}\]/m.test(head);
}

// isPDB tells a symbol file by its first bytes.
export async function isPDB(file) {
  if (/\.pdb$/i.test(file.name)) return true;
  const head = await file.slice(0, 24).text().catch(() => '');
  return head === 'Microsoft C/C++ MSF 7.00';
}
