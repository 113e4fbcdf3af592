// Where every processor of a Windows guest stood, as text to copy.
import { html } from '../../lit-html/lit-html.js';
import { stacksText } from '../stacks.js';

/** @type {import('../panels.js').Panel} */
export const panel = {
  id: 'stacks',
  title: 'Where every processor stood, as text',
  when: (summary) => Boolean(summary.windows && summary.cpus?.some((c) => c.stack?.length || c.stack_end)),
  view({ session: { summary } }, act) {
    const text = stacksText(summary);
    return html`<p class="row"><button type="button" id="stacks-copy" @click=${() => act('copy', { text, element: document.getElementById('stacks') })}>Copy the stacks</button></p>
      <details><summary>As a debugger prints them</summary><pre id="stacks" tabindex="0" aria-label="Stacks">${text}</pre></details>`;
  },
};
