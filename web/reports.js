// Race reports as text that is copied: in the kernel's own form, as Markdown, as
// JSON.

// label says where a report comes from and what it is about, in the words of `coredrop kcsan`.
/** @typedef {import('./summary.js').Report} Report */

/** @param {Report} report */
export function label(report) {
  const o = report.accesses.at(-1)?.object;
  return report.label + (o && o.kind !== 'user' ? `; at the address${o.now ? ' now' : ''}: ${o.text}` : '');
}

// quoted marks the lines of what is no whole report, so that no tool takes it
// for one.
/** @param {Report} report */
function quoted(report) {
  if (report.state !== 'residue' && (/^={5}/.test(report.text) || report.grade === 'retyped')) return report.text;
  return [report.title, ...report.text.trimEnd().split('\n')].map((line) => `#   ${line}\n`).join('');
}

// asText gives reports as the kernel prints them, each below a line that no
// parser of such reports takes for a part of one.
/** @param {Report[]} reports */
export function asText(reports) {
  return reports.map((r, i) => `${heading(reports, i)}# ${label(r)}\n${quoted(r)}`).join('\n');
}

// heading sums up the reports of one state and title that differ, before the
// first of them.
/**
 * @param {Report[]} reports
 * @param {number} i
 */
function heading(reports, i) {
  const same = (/** @type {Report | undefined} */ a, /** @type {Report} */ b) => a && a.state === b.state && a.title === b.title;
  if (same(reports[i - 1], reports[i])) return '';
  let texts = 0, count = 0;
  for (let j = i; j < reports.length && same(reports[i], reports[j]); j++) {
    texts++;
    count += reports[j].count;
  }
  if (texts === 1) return '';
  return `# ${reports[i].title}: ${count} reports${texts === count ? '' : `, ${texts} different texts`}\n`;
}

// asMarkdown gives reports for an issue or a mail: title, label, and the text in
// a fence longer than any run of backquotes in it.
/** @param {Report[]} reports */
export function asMarkdown(reports) {
  return reports.map((r) => {
    const longest = Math.max(0, ...(r.text.match(/`+/g) || []).map((run) => run.length)), fence = '`'.repeat(Math.max(3, longest + 1));
    return `### ${escape(r.title)}\n\n${escape(label(r))}\n\n${fence}text\n${r.text.trimEnd()}\n${fence}\n`;
  }).join('\n');
}

/** @param {string} text */
function escape(text) {
  return text.replace(/[\\`*_{}[\]<>#|]/g, '\\$&').replace(/\s+/g, ' ');
}

// asJSON gives reports as they stand in the summary.
/** @param {Report[]} reports */
export function asJSON(reports) {
  return JSON.stringify(reports, null, 2) + '\n';
}
