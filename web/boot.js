// What works before anything else has arrived: files that are dropped, picked or
// pasted and keys that are pressed are taken, and wait for the program. Then the
// program is fetched; where it cannot start, this says why and what to do.
//
// The build puts this text into the page itself, so it imports nothing. It is
// served by its name as well, for hosts whose own policy refuses that, and for
// old browsers it is written such that they understand it.
(() => {
  if (window.coredropBoot) return;
  /** @type {BootEvent[]} */
  const waiting = [];
  let deliver = (/** @type {BootEvent} */ event) => {
    waiting.push(event);
    if (event.type === 'files' && event.files.length) say(`${event.files[0].name} is opened as soon as the program is here.`);
  };

  /** @param {string} id */
  const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

  /** @type {Boot} */
  const boot = window.coredropBoot = {
    build: {},
    violations: [], // what the host's policy refused
    wasm: null, // the core's answer, asked for at once
    // take hands what waits and what comes to the program.
    take(handler) {
      deliver = handler;
      for (const event of waiting.splice(0)) handler(event);
    },
    stop,
    overlay,
  };

  // whenThere runs f once the page's elements are there.
  /** @param {() => void} f */
  function whenThere(f) {
    if (find('overlay')) f();
    else document.addEventListener('DOMContentLoaded', f);
  }

  /** @param {string} text */
  function say(text) {
    whenThere(() => { find('starting-text').textContent = text; });
  }

  // stop says why the program cannot run, and what to do.
  /**
   * @param {string} what
   * @param {string[]} todo
   */
  function stop(what, todo) {
    document.documentElement.dataset.phase = 'stopped';
    whenThere(() => {
      const box = find('starting'), list = find('starting-todo');
      box.hidden = false;
      box.setAttribute('role', 'alert');
      say(what);
      const steps = todo.map((text) => Object.assign(document.createElement('li'), { textContent: text }));
      if (navigator.serviceWorker && navigator.serviceWorker.controller) {
        const item = document.createElement('li');
        item.append(Object.assign(document.createElement('a'), { href: '?kept=1', textContent: 'Use the version that this browser keeps' }));
        steps.push(item);
      }
      list.replaceChildren(...steps);
    });
  }

  /** @param {boolean} on */
  function overlay(on) {
    const element = find('overlay');
    if (element) element.hidden = !on;
  }

  // carried gives what is dragged where that is files, else null.
  /** @param {DragEvent} event */
  const carried = ({ dataTransfer }) => dataTransfer && [...dataTransfer.types].includes('Files') ? dataTransfer : null;
  addEventListener('dragenter', (event) => {
    if (!carried(event)) return;
    event.preventDefault();
    overlay(true);
  });
  addEventListener('dragover', (event) => {
    const data = carried(event);
    if (!data) return;
    event.preventDefault();
    data.dropEffect = 'copy';
  });
  // A drag that leaves the window goes to no other element. Counting enters and
  // leaves would fail when the element under the pointer is replaced meanwhile.
  addEventListener('dragleave', (event) => { if (!event.relatedTarget) overlay(false); });
  // No pointer moves while something is dragged.
  addEventListener('pointermove', () => overlay(false));
  addEventListener('drop', (event) => {
    overlay(false);
    const data = carried(event);
    if (!data) return;
    event.preventDefault();
    const files = /** @type {File[]} */ ([]), handles = /** @type {any[]} */ ([]), folders = /** @type {string[]} */ ([]);
    for (const item of [...data.items].filter((i) => i.kind === 'file')) {
      // A folder comes as a File too, one that cannot be read.
      const entry = item.webkitGetAsEntry && item.webkitGetAsEntry();
      if (entry && entry.isDirectory) {
        folders.push(entry.name);
        continue;
      }
      const file = item.getAsFile();
      if (!file) continue;
      files.push(file);
      // It can be opened again after it has changed, where the browser has such.
      handles.push(item.getAsFileSystemHandle ? item.getAsFileSystemHandle().catch(() => null) : null);
    }
    if (files.length || folders.length) deliver({ type: 'files', via: 'drop', files, handles, folders });
  });

  addEventListener('change', (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || input.type !== 'file') return;
    const files = [...input.files || []];
    input.value = ''; // so that picking the same file again is a change
    if (files.length) deliver({ type: 'files', via: 'pick', wanted: input.id, files, handles: [], folders: [] });
  });

  addEventListener('paste', (event) => {
    if (!event.clipboardData || event.target instanceof Element && event.target.matches('input:not([type=file]), textarea')) return;
    const files = [...event.clipboardData.files], text = event.clipboardData.getData('text/plain');
    if (files.length === 0 && text.trim()) files.push(new File([text], 'pasted.log', { type: 'text/plain' }));
    if (files.length === 0) return;
    event.preventDefault();
    deliver({ type: 'files', via: 'paste', files, handles: [], folders: [] });
  });

  addEventListener('keydown', (event) => {
    const box = find('overlay');
    if (event.key === 'Escape' && box && !box.hidden) {
      overlay(false);
      return;
    }
    const control = event.ctrlKey || event.metaKey, typing = event.target instanceof Element && event.target.matches('input:not([type=file]):not([type=checkbox]), textarea, select');
    const key = (control ? 'Ctrl+' : '') + (control && event.shiftKey ? 'Shift+' : '') + (event.key.length === 1 && control ? event.key.toUpperCase() : event.key);
    if (event.altKey || typing && !control && event.key !== 'Escape') return;
    // What the browser would do with these is of no use here, ready or not.
    if (['Ctrl+O', 'Ctrl+S', 'Ctrl+Shift+P'].includes(key)) event.preventDefault();
    deliver({ type: 'key', key });
  });

  document.addEventListener('securitypolicyviolation', (event) => boot.violations.push(event.effectiveDirective));

  // The program.
  document.documentElement.dataset.phase = 'loading';
  const where = find('build');
  if (location.protocol === 'file:') {
    stop('Opened as a file: browsers run no program of this kind from there.', [
      'Let a server give the folder: coredrop serve does, so does python3 -m http.server in it', 'On the command line: coredrop convert CORE OUT.dmp']);
    return;
  }
  if (typeof WebAssembly === 'undefined') {
    stop('WebAssembly is switched off in this browser, and the program needs it.', [
      'Switch it on: in Firefox javascript.options.wasm in about:config; in Chromium and Edge a site setting or a policy may keep it off', 'On the command line: coredrop convert CORE OUT.dmp']);
    return;
  }
  if (!('noModule' in HTMLScriptElement.prototype) || typeof BroadcastChannel === 'undefined' || !Array.prototype.at || !Element.prototype.replaceChildren || !window.structuredClone) {
    stop('This browser is too old for the page’s program.', ['Use one of 2022 or later: Chromium, Edge or Chrome 98, Firefox 94, Safari 15.4', 'On the command line: coredrop convert CORE OUT.dmp']);
    return;
  }
  if (!where) {
    stop('This is the page’s source and no built page.', ['make build puts the page together, make run serves it']);
    return;
  }
  boot.build = JSON.parse(where.textContent);
  const app = new URL(`app/${boot.build.hash}/`, document.baseURI).href;
  const wasm = boot.wasm = fetch(`${app}coredrop.wasm`);
  wasm.catch(() => {}); // the program looks at it
  import(`${app}web/main.js`).catch(diagnose);

  // The style stands in the page too; a host's own policy may refuse that.
  whenThere(() => {
    if (getComputedStyle(document.documentElement).getPropertyValue('--ground')) return;
    document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: `${app}web/style.css` }));
  });

  // diagnose finds which file of the program is at fault.
  /** @param {unknown} error */
  async function diagnose(error) {
    const list = /** @type {string[]} */ (boot.build.files).filter((name) => /\.js$/.test(name));
    const faults = await Promise.all(list.map(async (name) => {
      let answer;
      try {
        answer = await fetch(app + name);
        await answer.clone().text();
      } catch {
        return answer ? `${name} did not arrive whole.` : `${name} could not be fetched: the server, the network, or an extension keeps it back.`;
      }
      if (!answer.ok) return `the server answered ${answer.status} for ${name}.`;
      const type = answer.headers.get('Content-Type') || 'nothing';
      return /javascript/.test(type) ? '' : `the server gives ${name} as ${type}, so the browser refuses it; it must be text/javascript.`;
    }));
    const first = faults.find((text) => text);
    stop(`The page’s program could not start: ${first || String(error)}`, [
      'Reload the page', first ? 'Tell who runs this server, if that does not help' : 'Report this message with the version of the page, if that does not help', 'On the command line: coredrop convert CORE OUT.dmp']);
  }
})();
