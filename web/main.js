// The page's program: it puts the parts together, and draws what the store holds.
import { render } from '../lit-html/lit-html.js';
import { Engine } from './engine.js';
import { Store } from './store.js';
import { Controller } from './session.js';
import { byKey, run } from './commands.js';
import { dumpBlob, saveByPicker, streamed } from './download.js';
import { copyText } from './copy.js';
import { bar } from './frame/bar.js';
import { start } from './frame/start.js';
import { result } from './frame/result.js';
import { sheets } from './frame/sheets.js';
import { foot } from './frame/foot.js';
import { keepOffline } from './offline.js';
import { size } from './format.js';

const boot = window.coredropBoot, $ = (id) => document.getElementById(id);
const store = new Store({
  build: boot.build, secure: isSecureContext,
  offline: new URLSearchParams(location.search).has('offline'),
});
const now = () => performance.now();
const say = (text) => store.dispatch({ type: 'said', text });

const engine = new Engine({
  progress: (stage, done, total) => store.dispatch({ type: 'progress', stage, done, total, now: now() }),
  line: (text) => controller.log(text),
  loading: (done, total) => store.dispatch({ type: 'loading', done, total }),
  dead: (fault) => store.dispatch({ type: 'notice', notice: { at: 'bar', fault } }),
  stopped(what, todo) {
    store.dispatch({ type: 'stopped' });
    boot.stop(what, todo);
  },
}, { answer: boot.wasm, bytes: boot.build.wasm_bytes, violations: boot.violations });

const controller = new Controller(engine, store, {
  now, dumpBlob, streamed,
  address: (blob) => URL.createObjectURL(blob),
  release: (url) => URL.revokeObjectURL(url),
  saveByPicker: (...args) => saveByPicker(engine, ...args),
  pick: (id) => $(id).click(),
  save: () => $('save').click(),
  fetch: (url, signal) => fetch(url, { signal }),
  symbols: new URL('symbols', document.baseURI).href,
});

const context = {
  controller, store,
  page: {
    pick: (id) => $(id).click(),
    save: () => $('save').click(),
    copy: (text, element) => copyText(text, say, element),
    sheet: (id) => $(id).showModal(),
    closeSheets: () => [...document.querySelectorAll('dialog[open]')].map((d) => d.close()).length > 0,
    reload: () => location.assign(location.pathname),
    details: () => [`Coredrop ${boot.build.version}, commit ${boot.build.commit}, build ${boot.build.hash}`, navigator.userAgent, store.state.log].join('\n'),
  },
};
const act = (id, arg) => run(context, id, arg);

function leaving(event) { event.preventDefault(); }

// What is outside the templates: the document itself, and what was there before.
function outside(state, last) {
  document.documentElement.dataset.phase = state.phase;
  const name = state.session ? state.session.name : '', percent = state.progress && state.progress.percent;
  document.title = state.job && percent !== null ? `${percent} % ${name || state.job.title}` : name || 'Coredrop';
  $('start').hidden = Boolean(state.session);
  $('starting').hidden = state.phase !== 'loading' && state.phase !== 'stopped';
  if (state.phase === 'loading' && state.loading.done) {
    $('starting-text').textContent = `Loading the program: ${size(state.loading.done, false)} of ${size(state.loading.total, false)}${state.job ? `, then ${state.job.title.toLowerCase().replace(/^looking at /, 'looking at ')}` : ''}`;
  }
  if ($('status').textContent !== state.said) $('status').textContent = state.said;
  if (Boolean(state.job) !== Boolean(last && last.job)) (state.job ? addEventListener : removeEventListener)('beforeunload', leaving);
}

function draw(state) {
  render(bar(state, act), $('bar-now'));
  render(start(state, act), $('start-now'));
  render(result(state, act), $('result'));
  render(foot(state, act), $('foot'));
  render(sheets(state, act), $('sheets'));
}

let drawn = null, asked = false;
function update() {
  asked = false;
  const { state } = store, last = drawn, focused = document.activeElement;
  drawn = state;
  outside(state, last);
  draw(state);
  // A button that was pressed and is locked now, or is no more, takes the focus
  // with it: it comes back when the work is done.
  if (state.job && !last?.job) store.focus = focused;
  if (state.session && state.session.id !== last?.session?.id) $('result-title').focus({ preventScroll: true });
  else if (!state.job && last?.job && document.activeElement === document.body && store.focus?.isConnected) store.focus.focus({ preventScroll: true });
}
store.subscribe(() => {
  if (asked) return;
  asked = true;
  queueMicrotask(update);
});

boot.take((event) => {
  if (event.type === 'files') controller.take(event);
  else if (document.querySelector('dialog[open]') && event.key !== 'Escape') return;
  else {
    const found = byKey(event.key);
    if (found) act(found.id);
  }
});

engine.ready.then(() => {
  store.dispatch({ type: 'ready' });
  controller.listCached();
  keepOffline(store, (text) => controller.log(text));
  if (location.hash === '#demo') {
    if (store.state.build.demo) act('demo');
    else controller.tell('start', 'This server has no demo guest: coredrop demo has one.');
  }
});
