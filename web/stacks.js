// Where every processor stood, as text in the debuggers' form.

/** @typedef {import('./summary.js').Summary} Summary */
/** @typedef {import('./summary.js').Frame} Frame */

// pointer writes an address as debuggers do: ffff9e0a`7a215578.
/** @param {string} hex a number written 0x… */
function pointer(hex) {
  const digits = hex.replace(/^0x/, '').padStart(16, '0');
  return `${digits.slice(0, -8)}\`${digits.slice(-8)}`;
}

// site is a place in code: nt!KeBugCheckEx+0x107, minidrv+0x1040, or the address.
/** @param {Frame} f */
function site(f) {
  const offset = f.offset ? `+0x${f.offset.toString(16)}` : '';
  const name = !f.module ? `0x${pointer(f.address)}` : f.symbol ? `${f.module}!${f.symbol}${offset}` : `${f.module}${offset}`;
  return f.note ? `${name} (${f.note})` : name;
}

// stackText writes one stack under a title; end says why it ends early.
/**
 * @param {string} title
 * @param {Frame[]} stack
 * @param {string} end
 */
export function stackText(title, stack, end) {
  const lines = stack.map((f, i) => `${i.toString(16).padStart(2, '0')} ${pointer(f.sp || '0x0')} ${pointer(stack[i + 1]?.address ?? '0x0')} ${site(f)}`);
  if (lines.length) lines.unshift(' # Child-SP          RetAddr           Call Site');
  if (end) lines.push(`   (${end})`);
  return [title, ...lines].join('\n');
}

// stacksText writes what the stacks of a Windows guest prove, and the stacks, the
// one the dump opens on first.
/** @param {Summary} s */
export function stacksText(s) {
  const out = [(s.windows?.first_aid || []).join('\n')];
  const cpus = [...s.cpus].sort((a, b) => Number(b.opens) - Number(a.opens));
  for (const cpu of cpus) {
    const who = cpu.processor === null ? `CPU ${cpu.index}` : `processor ${cpu.processor}`;
    const title = cpu.process ? `${who}, ${cpu.process.name} (${cpu.process.pid})` : who;
    const both = cpu.live_stack.length > 0;
    if (cpu.stack.length || cpu.stack_end) out.push(stackText(both ? `${title}, as Windows recorded it` : title, cpu.stack, cpu.stack_end));
    if (both) out.push(stackText(`${title}, as it stands now`, cpu.live_stack, cpu.live_stack_end));
  }
  return out.filter(Boolean).join('\n\n');
}
