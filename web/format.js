// Numbers and names as people read them.

/**
 * size writes bytes: "4.8 GB (4,831,838,208 bytes)" without the part in
 * parentheses where exact is false.
 * @param {number} bytes
 */
export function size(bytes, exact = true) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let n = bytes, unit = 0;
  while (n >= 1000 && unit < units.length - 1) { n /= 1000; unit++; }
  if (unit === 0) return `${bytes} bytes`;
  const short = `${n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
  return exact ? `${short} (${bytes.toLocaleString('en')} bytes)` : short;
}

/**
 * duration writes seconds: "3 d 4 h", "2 min 5 s".
 * @param {number} seconds
 */
export function duration(seconds) {
  const parts = [];
  let rest = Math.max(0, Math.round(seconds));
  for (const [name, length] of /** @type {[string, number][]} */ ([['d', 86400], ['h', 3600], ['min', 60], ['s', 1]])) {
    if (rest >= length && parts.length < 2) {
      parts.push(`${Math.floor(rest / length)} ${name}`);
      rest %= length;
    }
  }
  return parts.join(' ') || '0 s';
}

/**
 * dumpName suggests a file name: the core's, and the time the guest stopped.
 * @param {import('./summary.js').Summary} summary
 */
export function dumpName(summary) {
  const base = summary.file.name.replace(/\.(elf|core|dump|dmp|kdump|raw)$/i, '') || 'core';
  const time = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec((summary.guest || {}).system_time || '');
  return time ? `${base}-${time[1]}${time[2]}${time[3]}-${time[4]}${time[5]}.dmp` : `${base}.dmp`;
}

/**
 * dumpOf suggests the name of the dump of a file, where no more is known of it.
 * @param {string} name
 */
export function dumpOf(name) {
  return `${name.replace(/\.(elf|core|dump|dmp|kdump|raw)$/i, '') || 'core'}.dmp`;
}

/**
 * quote makes a word for a POSIX shell.
 * @param {string} word
 */
export function quote(word) {
  return /^[A-Za-z0-9_./+:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * fileWord makes such a word of a file's name, so that no command takes it for
 * a flag.
 * @param {string} name
 */
export function fileWord(name) {
  return quote(name.startsWith('-') ? `./${name}` : name);
}
