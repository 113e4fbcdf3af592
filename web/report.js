// The summary for a ticket: as Markdown, as plain text, as JSON.
import { finding, guestLine } from './finding.js';
import { parameters, place } from './places.js';
import { hasRaces, racesText, facts } from './view.js';
import { asMarkdown, asText } from './reports.js';
import { listedRaces } from './racelist.js';

/**
 * @typedef {import('./summary.js').Summary} Summary
 * @typedef {import('./store.js').Session} Session
 */

const STACKS = 8; // processors whose stacks go into a ticket
const RACES = 5; // reports, those that no console has first

// plain keeps text of a guest from being read as markup.
/** @param {string} text */
const plain = (text) => text.replace(/[\\`*_{}[\]<>#|~]/g, '\\$&').replace(/\s+/g, ' ');

/**
 * parts are what both forms of text say.
 * @param {Summary} s
 */
function parts(s) {
  const b = s.windows?.bugcheck;
  return {
    title: finding(s).text,
    lines: [guestLine(s), hasRaces(s) ? racesText(s) : '', b ? parameters(b.parameters || []).map((p) => [p.meaning, p.value, p.at && `(${p.at})`].filter(Boolean).join(' ')).join(' · ') : '',
      ...(s.windows?.first_aid || []), ...(s.linux?.troubles || []).map((t) => `${t.kind}: ${t.text}`), ...(s.warnings || []).slice(0, 20).map((w) => `warning: ${w.text} [${w.code}]`)].filter(Boolean),
    stacks: [...(s.cpus || [])].sort((a, b) => Number(b.opens) - Number(a.opens)).filter((c) => (c.stack || []).length).slice(0, STACKS)
      .map((c) => ({ title: `CPU ${c.index}${c.process ? `, ${c.process.name} (${c.process.pid})` : ''}`, frames: c.stack.map((f) => place(f, s.guest?.os)) })),
    facts: facts(s),
  };
}

/** @param {Session} session */
export function summaryText({ summary }) {
  const p = parts(summary), races = reports(summary);
  return [p.title, ...p.lines, ...p.stacks.flatMap((k) => ['', k.title, ...k.frames.map((f) => `  ${f}`)]), '', ...p.facts.map(([term, value]) => `${term}: ${value}`), ...(races.length ? ['', asText(races)] : [])].join('\n') + '\n';
}

/** @param {Session} session */
export function summaryMarkdown({ summary }) {
  const p = parts(summary), races = reports(summary);
  return [`## ${plain(p.title)}`, '', ...p.lines.map((l) => `- ${plain(l)}`), ...p.stacks.flatMap((k) => ['', `### ${plain(k.title)}`, '', '```text', ...k.frames.map((f) => f.replaceAll('`', "'")), '```']),
    '', '| | |', '|---|---|', ...p.facts.map(([term, value]) => `| ${plain(term)} | ${plain(value)} |`), ...(races.length ? ['', asMarkdown(races)] : [])].join('\n') + '\n';
}

/** @param {Summary} s */
function reports(s) {
  return listedRaces(s).flatMap((r) => (r.report ? [r.report] : [])).slice(0, RACES);
}

/** @type {Record<string, {name: string, ending: string, type: string, make: (session: Session) => string}>} */
export const SUMMARIES = {
  markdown: { name: 'Markdown', ending: 'md', type: 'text/markdown', make: summaryMarkdown },
  text: { name: 'text', ending: 'txt', type: 'text/plain', make: summaryText },
  json: { name: 'JSON', ending: 'json', type: 'application/json', make: (session) => session.json },
};
