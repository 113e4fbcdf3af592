// Where things are: the module of an address, the words of a place in code, and the
// joins that a person would else do by hand.

import { once } from './memo.js';

/**
 * @typedef {import('./summary.js').Summary} Summary
 * @typedef {import('./summary.js').Frame} Frame
 */

/** @param {Summary} s */
export const modulesOf = (s) => s.windows?.modules || s.linux?.detail?.modules || [];

const byBase = once((/** @type {Summary} */ s) => modulesOf(s).map((m, index) => ({ from: BigInt(m.base), to: BigInt(m.base) + BigInt(m.size), index }))
  .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0)));

/**
 * moduleAt gives the index of the module that an address lies in, -1 where it lies in
 * none.
 * @param {Summary} s
 * @param {string} address 0x…
 */
export function moduleAt(s, address) {
  if (!/^0x[0-9a-f]+$/i.test(address)) return -1;
  const list = byBase(s);
  const at = BigInt(address);
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].from <= at) low = middle + 1;
    else high = middle;
  }
  const found = list[low - 1];
  return found && at < found.to ? found.index : -1;
}

const hex = (/** @type {number} */ n) => `0x${n.toString(16)}`;

/**
 * place writes a frame as the debuggers of its system do: module!symbol+offset of
 * Windows, symbol+offset/size [module] of Linux, the address where nothing is known.
 * @param {Frame} f
 * @param {string} [os]
 */
export function place(f, os) {
  if (os !== 'windows') return f.symbol ? `${f.symbol}+${hex(f.offset)}/${hex(f.size)}${f.module ? ` [${f.module}]` : ''}` : f.address;
  if (!f.module) return f.address;
  return f.symbol ? `${f.module}!${f.symbol}+${hex(f.offset)}` : `${f.module}+${hex(f.offset)}`;
}

// What the sanitizer itself puts on a stack, from 5.8 to 6.19: its runtime, the
// compiler's entry points, and the delay in which a watchpoint waits.
const SANITIZER = /^(__?tsan_|_?kcsan_|__kcsan_|check_access|find_report_|print_report|print_stack_trace|print_verbose|prepare_report|rate_limit_report|set_other_info|__report_matches$|should_skip_report|skip_report|assert_no_|delay_tsc|delay_halt|__?udelay|__?const_udelay|__delay|queued_spin_lock_slowpath|native_queued_spin_lock_slowpath|_raw_spin_(un)?lock|dump_stack|dump_stack_lvl|cpu_relax|rep_nop|pause_)/;

/**
 * standing is the first frame of a stack that is not the sanitizer's own, the first
 * where all are.
 * @param {Frame[]} stack
 */
export function standing(stack) {
  return stack.find((f) => f.symbol && !SANITIZER.test(f.symbol)) || stack[0] || null;
}

/**
 * watching says what a Linux CPU was doing for the sanitizer: 'reporting a race',
 * 'watchpoint armed', '' where neither is on its stack.
 * @param {Frame[]} stack
 */
export function watching(stack) {
  const has = (/** @type {RegExp} */ name) => stack.some((f) => name.test(f.symbol));
  if (has(/^(print_report|kcsan_report|__kcsan_report|prepare_report|rate_limit_report)/)) return 'reporting a race';
  if (has(/^kcsan_setup_watchpoint/)) return 'watchpoint armed';
  return '';
}

/**
 * choice reads a meaning that lists the words of values ("0 read, 1 write, 2 or 8
 * execute") and gives the word of this value, '' where it lists none.
 * @param {string} meaning
 * @param {string} value
 */
export function choice(meaning, value) {
  for (const part of meaning.replace(/^[a-z ]+: (?=\d)/i, '').split(/[,;] /)) {
    const [, numbers, word] = /^((?:0x[0-9a-f]+|\d+)(?: or (?:0x[0-9a-f]+|\d+))*):? ([a-z].*)$/i.exec(part) || [];
    if (numbers && numbers.split(' or ').some((n) => Number(n) === Number(value))) return word;
  }
  return '';
}

/**
 * parameters words those parameters of a bug check that its code gives a meaning.
 * @param {import('./summary.js').Parameter[]} list
 * @returns {{meaning: string, value: string, at: string}[]} value: a word, or the number
 */
export function parameters(list) {
  return list.filter((p) => p.meaning || p.at).map(({ meaning, value, at }) => {
    const word = choice(meaning, value);
    // A level, a count or a kind is read as a number.
    return word ? { meaning: '', value: word, at } : { meaning, value: at || value.length > 4 ? value : String(Number(value)), at };
  });
}

/**
 * sharedFrom gives how many frames at the outer end two stacks have in common: the
 * same place, also where they came to it in other ways.
 * @param {Frame[]} a
 * @param {Frame[]} b
 */
export function sharedFrom(a, b) {
  let n = 0;
  while (n < a.length && n < b.length && place(a[a.length - 1 - n]) === place(b[b.length - 1 - n])) n++;
  return n;
}

/**
 * changedBits marks the hexadecimal digits in which two values differ; both are
 * written to the same length.
 * @param {string} before
 * @param {string} after
 * @returns {{before: string, after: string, changed: boolean[]}}
 */
export function changedBits(before, after) {
  const digits = (/** @type {string} */ v) => v.replace(/^0x/i, ''), length = Math.max(digits(before).length, digits(after).length);
  const a = digits(before).padStart(length, '0'), b = digits(after).padStart(length, '0');
  return { before: a, after: b, changed: [...a].map((digit, i) => digit !== b[i]) };
}
