// Counts to words: stage, done of total, rate and time left.
import { size, duration } from './format.js';

// Stages that count bytes; all others count items.
const BYTES = /^(fetching|preparing|saving|computing|searching memory)/;

// Counts are drawn at most ten times a second, but a stage's first and last
// always are.
const DRAW_MS = 100;

export class Progress {
  constructor(bar, counts, announce) {
    this.bar = bar;
    this.counts = counts;
    this.announce = announce; // for the live region: sparingly
    this.stage = null;
  }

  // begin shows that something runs before the first count arrives.
  begin(what) {
    this.stage = null;
    this.bar.removeAttribute('value');
    this.counts.textContent = what;
    this.announce(what);
  }

  // report takes a count and gives the per cent done, or null.
  report(stage, done, total) {
    const now = performance.now();
    if (stage !== this.stage || done === total || now - this.drawn >= DRAW_MS) this.draw(stage, done, total, now);
    return total ? Math.floor(100 * done / total) : null;
  }

  draw(stage, done, total, now) {
    this.drawn = now;
    if (stage !== this.stage) {
      this.stage = stage;
      this.began = now;
      this.from = done;
      this.tenth = 0;
      this.announce(stage);
    }
    const bytes = BYTES.test(stage), show = (n) => bytes ? size(n, false) : n.toLocaleString('en');
    const seconds = (now - this.began) / 1000, rate = seconds > 0.5 ? (done - this.from) / seconds : 0;
    let text = total ? `${stage}: ${show(done)} of ${show(total)}` : `${stage}: ${show(done)}`;
    if (rate > 0) text += `, ${show(Math.round(rate))} per second`;
    if (rate > 0 && total > done) text += `, ${duration((total - done) / rate)} left`;
    this.counts.textContent = text;
    if (!total) {
      this.bar.removeAttribute('value');
      return;
    }
    this.bar.max = total;
    this.bar.value = done;
    const tenth = Math.floor(10 * done / total);
    if (tenth > this.tenth && seconds > 1) this.announce(`${stage}: ${10 * tenth} %`);
    this.tenth = tenth;
  }
}
