// The ways a file comes in: the picker, a drop anywhere, the keyboard.

// listen calls open(files) for picked and dropped files, and keys[name]() for
// the shortcuts "open", "save" and "cancel".
export function listen({ input, overlay, open, keys }) {
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
    if (files.length) open(files);
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

// isPDB tells a symbol file by its first bytes.
export async function isPDB(file) {
  if (/\.pdb$/i.test(file.name)) return true;
  const head = await file.slice(0, 24).text().catch(() => '');
  return head === 'Microsoft C/C++ MSF 7.00';
}
