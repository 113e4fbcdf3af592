// The race reports of a Linux guest: grouped by title, filtered, copied.
import { copyText } from './copy.js';
import { asJSON, asMarkdown, asText, label } from './reports.js';

const $ = (id) => document.getElementById(id);
const FORMS = [['text', 'text', asText], ['markdown', 'Markdown', asMarkdown], ['json', 'JSON', asJSON]];
let reports = [], fragments = [], tell = () => {};

// hideRaces empties the view.
export function hideRaces() {
  reports = fragments = [];
  $('races').hidden = true;
  $('races-list').replaceChildren();
}

// showRaces shows the reports of a summary; they come with it.
export function showRaces(summary, say) {
  reports = summary.reports || [];
  fragments = summary.fragments || [];
  tell = say;
  $('races').hidden = false;
  $('races-text').textContent = racesText(summary);
  $('races-tools').hidden = reports.length + fragments.length === 0;
  $('races-filter').value = '';
  $('races-filter').oninput = draw;
  for (const [id, , form] of FORMS) $(`races-copy-${id}`).onclick = () => copyText(form(shown()), say);
  draw();
}

// racesText sums the reports up: "1 race report: 1 in flight." Each is in
// the list once; the states count it as often as it came.
export function racesText(summary) {
  const list = summary.reports || [], linux = summary.linux || {}, counts = linux.kcsan || {};
  const pieces = (summary.fragments || []).reduce((n, f) => n + f.count, 0), rest = `${pieces} ${pieces === 1 ? 'report is' : 'reports are'} not whole`;
  if (list.length === 0) {
    if (pieces) return `No whole race report: ${rest}.`;
    if (summary.file.format === 'log') return 'No race reports in this log.';
    return linux.detail && !linux.detail.kcsan ? 'No race reports: this kernel was built without KCSAN.' : 'This kernel left no race reports.';
  }
  const states = ['printed', 'in_flight', 'pending', 'suppressed', 'residue'].filter((name) => counts[name]).map((name) => `${counts[name]} ${name.replace('_', ' ')}`);
  return `${list.length} ${list.length === 1 ? 'race report' : 'different race reports'}${states.length ? `: ${states.join(', ')}` : ''}${pieces ? `; ${rest}` : ''}.`;
}

function shown(list = reports) {
  const wanted = $('races-filter').value.trim().toLowerCase();
  return list.filter((r) => !wanted || r.title.toLowerCase().includes(wanted));
}

function draw() {
  const groups = new Map();
  for (const report of shown()) {
    if (!groups.has(report.title)) groups.set(report.title, []);
    groups.get(report.title).push(report);
  }
  $('races-list').replaceChildren(...[...groups].map(([title, list]) => {
    const group = document.createElement('details');
    const head = document.createElement('summary');
    head.textContent = `${title} (${list.reduce((n, r) => n + (r.count || 1), 0)})`;
    group.append(head, ...list.map(block));
    group.open = groups.size === 1;
    return group;
  }), ...shown(fragments).map(piece));
}

// piece shows what is no whole report, with the reason.
function piece(fragment) {
  const box = document.createElement('details'), head = document.createElement('summary'), note = document.createElement('p'), text = document.createElement('pre');
  head.textContent = `Not whole: ${fragment.title || 'a report without its title'} (${fragment.count})`;
  note.textContent = `Not a whole report: ${fragment.reason}`;
  text.textContent = fragment.text;
  text.tabIndex = 0;
  text.setAttribute('aria-label', head.textContent);
  box.className = 'fragment';
  box.append(head, note, text);
  return box;
}

function block(report) {
  const box = document.createElement('div'), note = document.createElement('p'), text = document.createElement('pre'), row = document.createElement('p');
  note.textContent = label(report);
  row.className = 'row';
  row.append(...FORMS.map(([id, name, form]) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.dataset.form = id;
    button.textContent = `Copy as ${name}`;
    button.setAttribute('aria-label', `Copy as ${name}: ${report.title}`);
    button.onclick = () => copyText(form([report]), tell);
    return button;
  }));
  text.textContent = report.text;
  text.tabIndex = 0;
  text.setAttribute('aria-label', report.title);
  box.append(note, row, text);
  return box;
}
