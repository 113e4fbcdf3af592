// Copying text. Over plain http there is no clipboard object: the text is
// selected then, and the key that copies is named.

/**
 * copyText copies text, shown in element where there is one; say tells the user.
 * @param {string} text
 * @param {(text: string) => void} say
 * @param {Element | null} [element]
 */
export async function copyText(text, say, element) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      say('copied');
      return;
    } catch { /* no permission: go on as over plain http */ }
  }
  const from = /** @type {HTMLElement | null} */ (document.activeElement);
  let area = null;
  if (element) {
    getSelection()?.selectAllChildren(element);
  } else {
    area = document.createElement('textarea');
    area.value = text;
    area.className = 'copy';
    area.setAttribute('aria-label', 'Text to copy');
    area.readOnly = true;
    document.body.append(area);
    area.focus({ preventScroll: true });
    area.select();
  }
  const done = document.execCommand('copy');
  if (area && done) {
    area.remove();
    from?.focus({ preventScroll: true });
  } else if (area) {
    // The key copies what is selected, so it stays until the focus leaves it.
    const shown = area;
    area.onblur = () => shown.remove();
    area.scrollIntoView({ block: 'nearest' });
  }
  say(done ? 'copied' : 'selected: press Ctrl+C to copy');
}
