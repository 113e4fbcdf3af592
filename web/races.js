// The race reports of a Linux guest: grouped by title, filtered, copied.
import { copyText } from './copy.js';

const $ = (id) => document.getElementById(id);
let reports = [];

// hideRaces empties the view.
export function hideRaces() {
  reports = [];
  $('races').hidden = true;
  $('races-list').replaceChildren();
}

// showRaces shows the reports of a summary; they come with it.
export function showRaces(summary, say) {
  reports = summary.reports || [];
  $('races').hidden = false;
  const counts = (summary.linux && summary.linux.kcsan) || {};
  const states = ['printed', 'in_flight', 'pending', 'suppressed', 'residue'].filter((name) => counts[name]).map((name) => `${counts[name]} ${name.replace('_', ' ')}`);
  $('races-text').textContent = reports.length ? `${reports.length} distinct ${reports.length === 1 ? 'report' : 'reports'}: ${states.join(', ')}.` : 'This kernel left no race reports.';
  $('races-filter').oninput = draw;
  $('races-copy').onclick = () => copyText(shown().map((r) => r.text).join('\n'), say);
  draw();
}

function shown() {
  const wanted = $('races-filter').value.trim().toLowerCase();
  return reports.filter((r) => !wanted || r.title.toLowerCase().includes(wanted));
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
    return group;
  }));
}

function block(report) {
  const box = document.createElement('div'), note = document.createElement('p'), text = document.createElement('pre');
  note.textContent = [report.state, report.sources && `from ${report.sources.join(', ')}`, report.rule, report.unknown && report.unknown.length && `not known: ${report.unknown.join(', ')}`].filter(Boolean).join('; ');
  text.textContent = report.text;
  text.tabIndex = 0;
  text.setAttribute('aria-label', report.title);
  box.append(note, text);
  return box;
}
