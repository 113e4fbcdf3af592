// Where one gets such a file: the command for each way people run guests.
import { html } from '../../lit-html/lit-html.js';
import { copyLine } from './parts.js';

/** @type {[string, string, [string, string[]][]][]} */
const WAYS = [
  ['qemu', 'QEMU', [['In the monitor:', ['dump-guest-memory /path/vm.core']], ['By QMP:', ['{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:/path/vm.core"}}']]]],
  ['libvirt', 'libvirt', [['On the host:', ['virsh dump --memory-only --format elf VM /path/vm.core']]]],
  ['proxmox', 'Proxmox', [['On the node, then in the monitor that opens:', ['qm monitor VMID', 'dump-guest-memory /path/vm.core']]]],
  ['kubevirt', 'KubeVirt', [['In the cluster:', ['virtctl memory-dump get VM --claim-name=CLAIM --create-claim', 'virtctl memory-dump download VM --output=vm.core.gz']], ['It comes compressed: this says how to unpack it.', ['coredrop info vm.core.gz']]]],
];

/**
 * where shows the tabs.
 * @param {Record<string, any>} ui
 * @param {import('../panels.js').Act} act
 */
export function where(ui, act) {
  const chosen = WAYS.find(([id]) => id === ui.tab) || WAYS[0], choose = (/** @type {string} */ tab) => act('ui', { panel: 'where', change: { tab } });
  const move = (/** @type {KeyboardEvent} */ e) => {
    const i = WAYS.indexOf(chosen), to = /** @type {Record<string, number>} */ ({ ArrowRight: i + 1, ArrowLeft: i - 1 + WAYS.length, Home: 0, End: WAYS.length - 1 })[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const [id] = WAYS[to % WAYS.length];
    choose(id);
    document.getElementById(`where-${id}`)?.focus();
  };
  return html`<section id="where" aria-labelledby="where-title"><h3 id="where-title">Where do I get one?</h3>
    <div role="tablist" aria-labelledby="where-title" @keydown=${move}>${WAYS.map(([id, title]) => html`<button type="button" role="tab" id="where-${id}" aria-selected=${String(chosen[0] === id)} aria-controls="where-text" tabindex=${chosen[0] === id ? 0 : -1} @click=${() => choose(id)}>${title}</button>`)}</div>
    <div role="tabpanel" id="where-text" aria-labelledby="where-${chosen[0]}">${chosen[2].map(([text, lines]) => html`<p>${text}</p>${lines.map((line) => copyLine(line, act))}`)}</div></section>`;
}
