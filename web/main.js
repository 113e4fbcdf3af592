// The page's program: it puts the parts together.
import { Engine } from './engine.js';
import { Store } from './store.js';
import { Controller } from './session.js';
import { byKey, run } from './commands.js';
import { dumpBlob, saveByPicker, streamed } from './download.js';
import { copyText } from './copy.js';
import { Screen } from './screen.js';
import { keepOffline } from './offline.js';
import * as recent from './recent.js';

const boot = window.coredropBoot;
/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const store = new Store({
  build: boot.build, secure: isSecureContext,
  offline: new URLSearchParams(location.search).has('offline'),
});
const now = () => performance.now();
const shown = { session: 0 }; // the session whose panel was looked for
const say = (/** @type {string} */ text) => store.dispatch({ type: 'said', text });

const engine = new Engine({
  progress: (stage, done, total) => store.dispatch({ type: 'progress', stage, done, total, now: now() }),
  line: (text) => controller.log(text),
  loading: (done, total) => store.dispatch({ type: 'loading', done, total }),
  dead: (fault) => store.dispatch({ type: 'notice', notice: { at: 'bar', fault } }),
  stopped(what, todo) {
    store.dispatch({ type: 'stopped' });
    boot.stop(what, todo);
  },
}, {
  answer: /** @type {Promise<Response>} */ (boot.wasm), bytes: boot.build.wasm_bytes, violations: boot.violations,
  whole: boot.build.whole_bytes ? { url: new URL('../coredrop-whole.wasm', import.meta.url).href, bytes: boot.build.whole_bytes } : null,
});

const controller = new Controller(engine, store, {
  now, dumpBlob, streamed,
  address: (blob) => URL.createObjectURL(blob),
  release: (url) => URL.revokeObjectURL(url),
  saveByPicker: (...args) => saveByPicker(engine, ...args),
  pick: (id) => $(id).click(),
  save: () => $('save').click(),
  fetch: (url, signal) => fetch(url, { signal }),
  symbols: new URL('symbols', document.baseURI).href,
  recent,
});

/** @type {import('./commands.js').Context} */
const context = {
  controller, store,
  page: {
    pick: (id) => $(id).click(),
    save: () => $('save').click(),
    copy: (text, element) => copyText(text, say, element),
    sheet: (id) => /** @type {HTMLDialogElement} */ ($(id)).showModal(),
    closeSheets: () => [.../** @type {NodeListOf<HTMLDialogElement>} */ (document.querySelectorAll('dialog[open]'))].map((d) => d.close()).length > 0,
    reveal,
    print: () => print(),
    link: () => new URL(location.hash, document.baseURI).href,
    saveText,
    reload: () => location.assign(location.pathname),
    details: () => [`Coredrop ${boot.build.version}, commit ${boot.build.commit}, build ${boot.build.hash}`, navigator.userAgent, store.state.log].join('\n'),
  },
};
/**
 * reveal brings an element into view and gives it the focus, once it is drawn.
 * @param {string} id
 * @param {number} [wait] milliseconds
 */
function reveal(id, wait = 0) {
  setTimeout(() => {
    const element = document.getElementById(id);
    if (!element) {
      if (document.documentElement.dataset.phase === 'busy') reveal(id, 20); // it is still to be drawn
      return;
    }
    element.closest('details')?.setAttribute('open', '');
    element.scrollIntoView({ block: 'nearest' });
    if (!element.matches('a, button, input, [tabindex]')) element.tabIndex = -1;
    element.focus({ preventScroll: true });
  }, wait);
}

/**
 * saveText saves a small text as a file.
 * @param {string} text
 * @param {string} name
 * @param {string} type
 */
function saveText(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(document.createElement('a'), { href: url, download: name }).click();
  URL.revokeObjectURL(url); // a download that has begun goes on
}

/** @type {import('./panels.js').Act} */
const act = (id, arg) => run(context, id, arg);

new Screen(store, act);

boot.take((event) => {
  if (event.type === 'files') controller.take(event);
  else if (document.querySelector('dialog[open]') && event.key !== 'Escape') return;
  else {
    const found = byKey(event.key);
    if (found) act(found.id);
  }
});

// Where there is a picker that gives handles, it takes the place of the input's own.
const picker = { plain: !('showOpenFilePicker' in window) };
addEventListener('click', (event) => {
  if (picker.plain || event.target !== $('file')) return;
  event.preventDefault();
  recent.picked().then(({ files, handles }) => {
    if (files.length) controller.take({ files, handles, folders: [], via: 'pick' });
  }, () => {
    picker.plain = true; // it is not for this page: the input's own is
    $('file').click();
  });
});

// The address names a panel, never what is open: it leads there once there is one.
function toPanel() {
  const id = /^#(panel-[a-z-]+)$/.exec(location.hash)?.[1];
  if (id && store.state.session) reveal(id);
}
addEventListener('hashchange', toPanel);
store.subscribe((state) => {
  if (state.session && state.session.id !== shown.session) {
    shown.session = state.session.id;
    toPanel();
  }
});

engine.ready.then(() => {
  store.dispatch({ type: 'ready', catalogue: engine.catalogue });
  controller.listCached();
  controller.listRecent();
  keepOffline(store, (text) => controller.log(text));
  if (location.hash === '#demo') {
    if (store.state.build.demo) act('demo');
    else controller.tell('start', 'This server has no demo guest: coredrop demo has one.');
  }
});
