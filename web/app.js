// The page: which file is open, what runs, what is shown.
import { Engine } from './engine.js';
import { Progress } from './progress.js';
import { listen, isKernelLog, isPDB, isPasted } from './input.js';
import { copyText, copyLine } from './copy.js';
import { facts, headline, dumpText, commandLine, windbgLines } from './view.js';
import { of } from './words.js';
import { dumpBlob, saveByPicker } from './download.js';
import { dumpName, size } from './format.js';
import { showRaces, hideRaces, racesText } from './races.js';
import { showLinux, hideLinux } from './linux.js';

const $ = (id) => document.getElementById(id);
const symbolsBase = new URL('symbols', document.baseURI).href;
// What the host says of itself; a static host says only what was built.
const build = await fetch('version.json', { cache: 'no-cache' }).then((r) => r.ok ? r.json() : {}, () => ({}));
const offline = new URLSearchParams(location.search).has('offline');

let core = null;    // the File that is open
let summary = null; // what is known of it
let json = '';      // the same, as the command line prints it
let dump = null;    // {blob, name, url} once converted
let job = null;     // {title, abort} while something runs
const pdbs = [];    // PDBs given before a core was

const began = performance.now();
function log(text) {
  $('log').textContent += `${((performance.now() - began) / 1000).toFixed(3)} ${text}\n`;
}
// say is heard and seen, for a while; hint is heard only, where a heading shows
// the same.
const SEEN_MS = 10000;
let seen = 0;
function say(text) {
  hint(text);
  $('status').className = '';
  clearTimeout(seen);
  seen = setTimeout(() => { $('status').className = 'heard'; }, SEEN_MS);
}
function hint(text) {
  $('status').textContent = text;
  $('status').className = 'heard';
}

const progress = new Progress($('bar'), $('counts'), hint);
const engine = new Engine({
  progress(stage, done, total) {
    if (!job) return;
    const percent = progress.report(stage, done, total);
    const title = percent === null ? `… ${core.name}` : `${percent} % ${core.name}`;
    if (document.title !== title) document.title = title;
  },
  line: log,
  dead(error) { fail(error); closeCore(); },
}, build.wasm ? `?v=${build.wasm.slice(0, 16)}` : '');

// run shows the work panel while work() runs, reports what it throws, and gives
// whether it came to its end. Cancelled says what a cancel leaves, where that is
// more than nothing.
async function run(title, work, cancelled) {
  if (job) {
    fail(engine.fault('busy'));
    return false;
  }
  const mine = job = { abort: new AbortController() }, from = document.activeElement;
  $('failure').hidden = true;
  $('work-title').textContent = title;
  $('work').hidden = false;
  lock(true);
  progress.begin(title);
  addEventListener('beforeunload', warn);
  log(title);
  try {
    await work(mine.abort.signal);
    if ($('failure-code').textContent === 'busy') $('failure').hidden = true; // it is over
    return true;
  } catch (error) {
    // A DOMException has a code too, but a number.
    const known = error && typeof error.code === 'string' ? error
      : mine.abort.signal.aborted ? engine.fault('cancelled') : engine.fault('internal', `something broke in the page: ${error}`);
    fail(known.code === 'cancelled' && cancelled ? engine.fault('cancelled', cancelled) : known);
    if (known.code === 'file-changed' || known.code === 'internal') dropDump();
    return false;
  } finally {
    removeEventListener('beforeunload', warn);
    job = null;
    $('work').hidden = true;
    lock(false);
    // A button that was pressed lost the focus when it was locked.
    if (document.activeElement === document.body) from.focus({ preventScroll: true });
    document.title = core ? core.name : 'Coredrop';
  }
}

// ask calls the worker for the job that runs. A cancel that comes between two
// calls finds nothing to stop in the worker: it is seen here.
async function ask(method, ...args) {
  const { signal } = job.abort, check = () => { if (signal.aborted) throw engine.fault('cancelled'); };
  check();
  const answer = await engine.call(method, ...args);
  check();
  return answer;
}

// fetchSymbols asks the page's server for the PDB. While that is busy (it may
// still be fetching the PDB itself) it is asked again, later each time.
async function fetchSymbols(signal) {
  for (const seconds of [5, 10, 20, 0]) {
    try {
      return await ask('fetchSymbols', symbolsBase);
    } catch (error) {
      if (error.code !== 'server-busy' || !seconds) throw error;
      log(`${error.text} [server-busy]: asking again in ${seconds} s`);
    }
    for (let waited = 0; waited < seconds; waited++) {
      engine.on.progress('the symbol server is busy, seconds until it is asked again', waited, seconds);
      await new Promise((next) => {
        const timer = setTimeout(next, 1000);
        signal.addEventListener('abort', () => { clearTimeout(timer); next(); });
      });
      if (signal.aborted) throw engine.fault('cancelled');
    }
  }
}

function warn(event) { event.preventDefault(); }

function lock(on) {
  for (const id of ['convert', 'symbols-get', 'pdb', 'file', 'demo-open', 'another', 'recheck', 'hash', 'save-picker', 'compat', 'type', 'dmesg-show']) $(id).disabled = on;
  if (!on) $('convert').disabled = Boolean(obstacle());
  $('cancel').disabled = false;
}

// obstacle says why the core cannot be converted with the options as they are.
function obstacle() {
  if (!summary || !summary.convert) return 'no core is open';
  if ($('compat').checked) return summary.symbols.status === 'found' ? '' : 'elf2dmp’s way needs the kernel’s PDB';
  if (summary.convert.possible) return '';
  const [need] = summary.convert.needs;
  return /^symbols-/.test(need) ? 'the kernel’s PDB is needed' : engine.fault(need).text;
}

function fail(error) {
  const remedy = error.remedy || [];
  log(`error: ${error.text} [${error.code}]`);
  $('failure-text').textContent = error.text.replace(/^[a-z]/, (letter) => letter.toUpperCase());
  $('failure-code').textContent = error.code;
  $('failure-remedy').replaceChildren(...remedy.map((text) => Object.assign(document.createElement('li'), { textContent: text })));
  $('failure').hidden = false;
  $('failure-text').focus();
  say('');
}

// open takes what was dropped, picked or pasted: one core, PDBs, or both.
async function open(files) {
  const cores = [];
  const given = [];
  for (const file of files) (await isPDB(file) ? given : cores).push(file);
  if (job) return fail(cores.length ? engine.fault('busy') : engine.fault('busy', 'a PDB cannot be taken while something runs', ['drop it again when that is done']));
  // A paste is easily an accident: it must not cost what is open.
  if (core && isPasted(cores[0]) && !await isKernelLog(cores[0])) return say('What was pasted is no kernel log: nothing was opened.');
  if (cores.length > 1) return fail(engine.fault('bad-option', 'one core at a time: these are ' + cores.length, ['open them one after the other']));
  if (cores.length === 0 && !core) {
    pdbs.push(...given);
    return say(`${given.map((f) => f.name).join(', ')} will be used: now open the core`);
  }
  await run(cores.length ? 'Inspecting the core' : 'Reading the PDB', async () => {
    if (cores.length) {
      closeCore();
      core = cores[0];
      document.title = core.name;
      await ask('open', core);
      given.push(...pdbs.splice(0));
    } else {
      dropDump();
    }
    await inspectWith(given);
  });
}

// inspectWith inspects with PDBs that the user gave; a bad one does not keep the
// core from being inspected.
async function inspectWith(given) {
  let refused = null;
  for (const file of given) {
    try {
      await ask('give', file);
    } catch (error) {
      if (!/^(pdb|symbols)-/.test(error.code)) throw error;
      refused = engine.fault(error.code, `the PDB ${file.name} is not used: ${error.text}`, error.code === 'symbols-not-a-pdb' ? ['give the .pdb itself, not a page or an archive that holds it'] : error.remedy);
    }
  }
  await inspect();
  if (refused) fail(refused);
}

async function inspect() {
  let answer = await ask('inspect');
  if (answer.error && answer.error.code === 'is-linux') answer = await ask('races');
  if (answer.error && /^(is-log|unknown-format)$/.test(answer.error.code)) answer = await readAsLog() || answer;
  json = answer.json;
  summary = JSON.parse(json);
  if (summary.error) {
    fail(answer.error || summary.error);
    if (!summary.file.format) return closeCore(); // nothing is known of it
  }
  show();
  if (!summary.error) {
    hint(`${headline(summary)}. ${hasRaces() ? racesText(summary) : $('verdict').textContent}`);
    $('result-title').focus();
  }
}

// readAsLog gives the race reports of the text of a kernel log, or null where the
// file is no such text.
async function readAsLog() {
  const answer = await ask('races');
  const { file, reports, warnings } = JSON.parse(answer.json);
  return file.format === 'log' && !answer.error && (reports.length || warnings.length || isPasted(core) || await isKernelLog(core)) ? answer : null;
}

async function readLog() {
  let text = null;
  if (await run('Reading the kernel log', async () => { text = await ask('linuxLog'); })) say('The kernel log is shown.');
  return text;
}

function show() {
  $('start').hidden = true;
  $('result').hidden = false;
  $('result-title').textContent = headline(summary);
  $('facts').replaceChildren(...facts(summary).flatMap(([term, value]) => [
    Object.assign(document.createElement('dt'), { textContent: term }),
    Object.assign(document.createElement('dd'), { textContent: value }),
  ]));
  const warnings = summary.warnings || [];
  $('warnings').hidden = warnings.length === 0;
  $('warning-list').replaceChildren(...warnings.map((w) => Object.assign(document.createElement('li'), { textContent: `${w.text} [${w.code}]` })));
  const symbols = summary.symbols || {}, windows = summary.guest && summary.guest.os === 'windows';
  for (const id of ['convert-options', 'convert']) $(id).hidden = !windows;
  const why = obstacle(), found = symbols.status === 'found';
  $('convert').disabled = Boolean(why);
  $('verdict').textContent = !windows ? '' : why ? `It cannot be converted yet: ${why}.`
    : found ? `It can be converted. The kernel’s PDB is here (${of('from', symbols.from.kind, symbols.from)}).` : 'It can be converted.';
  $('symbols').hidden = !windows || !symbols.key || found;
  if (symbols.key) {
    $('symbols-url').textContent = `${symbolsBase}/${symbols.key}`;
    $('symbols-text').textContent = why ? `This kernel’s PDB is needed: ${symbols.key}.`
      : `The PDB is not needed here; with it, what was found in memory is cross-checked: ${symbols.key}.`;
    $('symbols-ask').hidden = $('symbols-get').hidden = offline || build.symbols === false;
    $('symbols-elsewhere').hidden = !symbols.url;
    if (symbols.url) $('symbols-from').replaceChildren(copyLine(symbols.url, say));
  }
  $('command').replaceChildren(copyLine(commandLine(summary, options()), say));
  $('json').textContent = json;
  hideRaces();
  hideLinux();
  if (hasRaces()) {
    showRaces(summary, say);
    showLinux(summary, readLog, say);
  }
}

function hasRaces() {
  return summary.file.format === 'log' || Boolean(summary.guest && summary.guest.os === 'linux');
}

function options() {
  return { compat: $('compat').checked, type: $('type').value };
}

async function convert() {
  await run('Converting', async () => {
    dropDump();
    const answer = await ask('convert', options());
    json = answer.json;
    summary = JSON.parse(json);
    show();
    const blob = await dumpBlob(engine, core);
    await ask('unchanged');
    const name = dumpName(summary);
    dump = { blob, name, url: URL.createObjectURL(blob) };
    $('save').href = dump.url;
    $('save').download = name;
    $('save').textContent = `Download ${name}`;
    $('save-picker').hidden = !('showSaveFilePicker' in window);
    $('dump-text').textContent = dumpText(summary);
    $('hash-value').textContent = '';
    $('save-note').hidden = true;
    $('windbg').replaceChildren(...windbgLines(symbolsBase, build.symbols === true).map((text) => {
      const item = document.createElement('li');
      item.append(copyLine(text, say));
      return item;
    }));
    $('dump').hidden = false;
    $('convert').classList.remove('primary'); // the next step is Download
    hint(`The dump is ready: ${size(blob.size)}`);
    $('dump-title').focus();
  });
}

function dropDump() {
  if (dump) {
    // A download that has begun goes on without its address.
    URL.revokeObjectURL(dump.url);
    dump = null;
  }
  $('dump').hidden = true;
  $('convert').classList.add('primary');
  $('save').removeAttribute('href');
}

function closeCore() {
  dropDump();
  hideRaces();
  hideLinux();
  core = summary = null;
  json = '';
  $('convert-form').reset();
  $('result').hidden = true;
  $('start').hidden = false;
  document.title = 'Coredrop';
}

async function cancel() {
  if (!job) return;
  job.abort.abort();
  $('cancel').disabled = true;
  if (!await engine.cancel() && core) {
    // The worker was ended: it no longer knows the file.
    closeCore();
  }
}

listen({
  input: $('file'), overlay: $('overlay'), open,
  folder(name) { fail(engine.fault('input-unreadable', `what was dropped is a folder, ${name}`, ['drop the core that lies in it'])); },
  keys: {
    open() { if (!job) $('file').click(); },
    save() { if (dump && !job) $('save').click(); },
    cancel() { if (job) cancel(); else $('failure').hidden = true; },
  },
});
$('pdb').addEventListener('change', () => {
  const files = [...$('pdb').files];
  $('pdb').value = '';
  if (files.length) run('Reading the PDB', async () => {
    dropDump();
    await inspectWith(files);
  });
});
$('symbols-get').onclick = () => run('Fetching symbols', async (signal) => {
  dropDump();
  await fetchSymbols(signal);
  await inspect();
}, 'cancelled; this server may have been asked for the PDB, nothing else was sent');
$('convert-form').onsubmit = (event) => { event.preventDefault(); if (summary && !job) convert(); };
$('compat').onchange = $('type').onchange = () => { dropDump(); show(); };
$('another').onclick = () => { closeCore(); $('failure').hidden = true; say(''); $('file').focus(); };
$('cancel').onclick = cancel;
$('failure-close').onclick = () => { $('failure').hidden = true; };
$('failure-copy').onclick = () => copyText(details(), say);
$('log-copy').onclick = () => copyText($('log').textContent, say, $('log'));
$('json-copy').onclick = () => copyText(json, say, $('json'));
$('recheck').onclick = async () => {
  if (await run('Checking the core', () => ask('unchanged'))) say('The core is as it was when it was opened.');
};
$('hash').onclick = () => run('Computing SHA-256', async () => {
  const sum = await ask('sha256');
  $('hash-value').textContent = `SHA-256 ${sum}`;
  say('SHA-256 computed');
}, 'cancelled; the dump is still offered');
$('save').onclick = () => {
  log(`saving ${dump.name}, ${dump.blob.size} bytes`);
  $('save-note').hidden = false;
  say(`Saving ${dump.name}: ${size(dump.blob.size)} are expected`);
};
$('save-picker').onclick = () => run('Saving', async (signal) => {
  const saved = await saveByPicker(engine, dump.blob, dump.name, engine.on.progress, signal);
  if (!saved) return say('nothing was saved');
  await engine.call('unchanged');
  say(`saved: ${size(dump.blob.size)}`);
}, 'cancelled; the dump is still offered, no part of it was saved there');
if (build.demo) {
  $('demo').hidden = false;
  $('demo-open').onclick = async () => {
    let file;
    const fetched = await run('Opening the demo guest', async (signal) => {
      const answer = await fetch(build.demo, { signal });
      if (!answer.ok) throw engine.fault('input-unreadable', `the server answered ${answer.status} for the demo guest`);
      file = new File([await answer.blob()], build.demo.split('/').pop());
    });
    if (fetched) open([file]);
  };
  if (location.hash === '#demo') engine.ready.then(() => $('demo-open').click());
} else if (location.hash === '#demo') {
  say('This server has no demo guest: coredrop demo has one.');
}
// Only our own server says whether it has symbols; what others run is not known.
$('promise').hidden = typeof build.symbols !== 'boolean';

function details() {
  return [`${$('failure-text').textContent} [${$('failure-code').textContent}]`, $('build').textContent, navigator.userAgent, $('log').textContent].join('\n');
}

$('build').textContent = `Coredrop ${build.version || 'devel'}, commit ${build.commit || 'unknown'}, wasm ${(build.wasm || 'unknown').slice(0, 16)}`;
if (!isSecureContext) {
  engine.ready.then(() => {
    $('insecure').textContent = `${engine.fault('insecure-context').text} (nothing else is).`;
    $('insecure').hidden = false;
  });
}
engine.ready.then(() => {
  document.documentElement.dataset.ready = 'yes';
  // Not on plain http, nor in some private windows: then the page needs its server.
  navigator.serviceWorker?.register(new URL('sw.js', document.baseURI)).catch((error) => log(`the page is not kept for use offline: ${error.message}`));
});
