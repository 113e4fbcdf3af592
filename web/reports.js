// Race reports as text that is copied: in the kernel's own form, as Markdown, as
// JSON.

// label says where a report comes from, in the words of `coredrop kcsan`.
export function label(report) {
  const sources = report.sources || [], unknown = report.unknown || [];
  const at = typeof report.first_seconds === 'number' ? ` at ${report.first_seconds.toFixed(6)} s` : '';
  let text = `${report.state.replaceAll('-', ' ')}: rebuilt from ${list(sources)}`;
  if (report.state === 'residue') {
    text = `residue: left in ${list(sources)}`;
  } else if (report.state === 'printed') {
    text = `printed${report.count > 1 ? ` ${report.count} times${at && ', first'}` : ''}${at}`;
    if (sources.length > 1) text += `; also in ${list(sources.slice(1))}`;
  }
  if (report.rule) text += `; not printed because: ${report.rule}`;
  if (unknown.length) text += `; not known: ${unknown.join(', ')}`;
  return text;
}

function list(words) {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

// quoted marks the lines of what is no whole report, so that no tool takes it
// for one.
function quoted(report) {
  if (report.state !== 'residue' && /^={5}/.test(report.text)) return report.text;
  return [report.title, ...report.text.trimEnd().split('\n')].map((line) => `#   ${line}\n`).join('');
}

// asText gives reports as the kernel prints them, each below a line that no
// parser of such reports takes for a part of one.
export function asText(reports) {
  return reports.map((r) => `# ${label(r)}\n${quoted(r)}`).join('\n');
}

// asMarkdown gives reports for an issue or a mail: title, label, and the text in
// a fence longer than any run of backquotes in it.
export function asMarkdown(reports) {
  return reports.map((r) => {
    const longest = Math.max(0, ...(r.text.match(/`+/g) || []).map((run) => run.length)), fence = '`'.repeat(Math.max(3, longest + 1));
    return `### ${escape(r.title)}\n\n${escape(label(r))}\n\n${fence}text\n${r.text.trimEnd()}\n${fence}\n`;
  }).join('\n');
}

function escape(text) {
  return text.replace(/[\\`*_{}[\]<>#|]/g, '\\$&').replace(/\s+/g, ' ');
}

// asJSON gives reports as they stand in the summary.
export function asJSON(reports) {
  return JSON.stringify(reports, null, 2) + '\n';
}
