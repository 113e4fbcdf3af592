// What stands between a core and its dump, and what to say first.

/** @typedef {import('./summary.js').Summary} Summary */

/**
 * blockedBy says why no dump can be made with these options: '' where it can, null
 * where there is none to make.
 * @param {Summary} summary
 * @param {import('./store.js').Session['options']} options
 */
export function blockedBy(summary, options) {
  if (summary.error) return summary.error.text;
  if (!summary.guest || summary.guest.os !== 'windows') return 'this is no Windows guest';
  if (options.compat) return summary.symbols.status === 'found' ? '' : 'elf2dmp’s way needs the kernel’s PDB';
  if (summary.convert.possible) return '';
  const [need] = summary.convert.needs;
  return /^symbols-/.test(need) ? 'the kernel’s PDB is needed' : `${need} stands in the way`;
}

/**
 * leading puts what is missing of the file before what follows from that: a person
 * who reads only the consequence takes the wrong next step.
 * @param {import('./engine.js').EngineLike} engine
 * @param {Summary} summary
 * @param {import('./store.js').Fault} fault
 * @returns {{fault: import('./store.js').Fault, text: string}}
 */
export function leading(engine, summary, fault) {
  const cut = (summary.warnings || []).find((/** @type {{code: string}} */ w) => w.code === 'truncated');
  if (!cut || fault.code === 'truncated') return { fault: engine.fault(fault.code, fault.text, fault.remedy), text: '' };
  return { fault: engine.fault('truncated', cut.text), text: `What follows from it: ${fault.text} [${fault.code}].` };
}
