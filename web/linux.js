// What a Linux core says of its kernel besides race reports: the sanitizer's own
// data, tasks, CPUs, debuggers, and the log on request.
import { copyLine, copyText } from './copy.js';
import { sortable } from './table.js';

const $ = (id) => document.getElementById(id);

// hideLinux empties the view.
export function hideLinux() {
  $('linux').hidden = true;
  for (const id of ['linux-tables', 'linux-commands', 'dmesg']) $(id).replaceChildren();
}

// showLinux shows the detail of a summary; readLog() gives a promise of the
// kernel's log. A log instead of a core has no detail.
export function showLinux(summary, readLog, say) {
  hideLinux();
  const detail = summary.linux && summary.linux.detail;
  if (!detail) return;
  $('linux').hidden = false;
  $('linux-tables').replaceChildren(...tables(detail, summary.cpus || []).map(([title, caption, columns, rows]) => {
    const box = document.createElement('details'), head = document.createElement('summary'), frame = document.createElement('div');
    head.textContent = `${title} (${rows.length})`;
    frame.className = 'wide';
    frame.append(rows.length ? sortable(caption, columns, rows) : Object.assign(document.createElement('p'), { textContent: 'None.' }));
    box.append(head, frame);
    return box;
  }));
  $('linux-commands').replaceChildren(...(detail.commands || []).map((line) => copyLine(line, say)));
  $('dmesg-box').hidden = true;
  $('dmesg-show').hidden = false;
  $('dmesg-show').textContent = `Show the kernel log${detail.log_records ? ` (${detail.log_records.toLocaleString('en')} records)` : ''}`;
  $('dmesg-show').onclick = async () => {
    const text = await readLog();
    if (text === null) return;
    $('dmesg').textContent = text;
    $('dmesg-box').hidden = false;
    $('dmesg-show').hidden = true;
    $('dmesg').focus();
  };
  $('dmesg-copy').onclick = () => copyText($('dmesg').textContent, say, $('dmesg'));
}

// tables lists [title, caption, columns, rows].
function tables(detail, cpus) {
  const text = (name) => ({ name }), number = (name) => ({ name, number: true });
  const list = [], k = detail.kcsan;
  if (k) {
    list.push(
      ['Watchpoints', 'Watchpoints in use when the machine stopped', [number('Slot'), text('State'), text('Address'), number('Bytes'), text('Access')],
        k.watchpoints.map((w) => w.state === 'armed'
          ? [w.index, w.state, w.address, w.size, w.write ? 'write' : 'read'] : [w.index, w.state, { text: 'no longer known', key: '' }, { text: '', key: 0 }, ''])],
      ['Counters', 'KCSAN’s counters since the boot', [text('Counter'), number('Value')], k.counters.map((c) => [c.name, c.value])],
      ['Configuration', 'KCSAN’s configuration as seen in memory', [text('Setting'), text('Value')], configuration(k)],
    );
  }
  list.push(
    ['Tasks', detail.tasks_whole ? 'Processes' : 'Processes; the list is broken, and what both its ends lead to is shown', [number('PID'), text('Command')],
      detail.tasks.map((t) => [{ text: String(t.pid), key: t.pid }, t.name])],
    ['CPUs', 'What each CPU was doing', [number('CPU'), text('Task'), text('Stack, innermost first')],
      cpus.map((c) => [c.index, c.process ? `${c.process.name} (${c.process.pid})` : '', c.stack.map(place).join('\n')])],
  );
  if (detail.modules.length) {
    list.push(['Modules', 'Loaded modules', [text('Module'), text('Base'), number('Bytes')], detail.modules.map((m) => [m.name, m.base, m.size])]);
  }
  return list;
}

// place writes a frame as the kernel does: name, offset, size, module.
function place(f) {
  const hex = (n) => `0x${n.toString(16)}`;
  return f.symbol ? `${f.symbol}+${hex(f.offset)}/${hex(f.size)}${f.module ? ` [${f.module}]` : ''}` : f.address;
}

function configuration(k) {
  const yes = (on) => on ? 'yes' : 'no';
  return [
    ['generation of report.c', `since Linux ${k.version}`],
    ['enabled', yes(k.enabled)],
    ['verbose reports', yes(k.verbose)],
    ['value changes only', yes(k.value_change_only)],
    ['slots for reports', k.slots],
    ['rate-limit slots', k.rate_limit_slots],
    ['rate-limit slots used', k.rate_limit_used],
    ...Object.entries(k.found_by || {}).map(([name, by]) => [`${name} found by`, by]),
  ];
}
