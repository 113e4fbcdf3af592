// One driver for both browsers: Chromium over CDP, Firefox over WebDriver BiDi.
import puppeteer from 'puppeteer-core';
import { readdirSync, statSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { folder, sha256 } from './files.js';

export const kinds = (process.env.BROWSERS || 'chromium,firefox').split(',');

let launched = 0;

// launch starts a browser with a download folder of its own. Options: map, a
// host name that leads to 127.0.0.1; dark.
export async function launch(kind, options = {}) {
  const downloads = folder(`downloads-${kind}-${launched++}`);
  const browser = kind === 'chromium'
    ? await puppeteer.launch({
      browser: 'chrome', executablePath: '/usr/bin/chromium', headless: true,
      args: ['--no-sandbox', '--disable-gpu', ...(options.map ? [`--host-resolver-rules=MAP ${options.map} 127.0.0.1`] : [])],
    })
    : await puppeteer.launch({
      browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true,
      extraPrefsFirefox: {
        'browser.download.folderList': 2, 'browser.download.dir': downloads, 'browser.download.useDownloadDir': true,
        'browser.download.alwaysOpenPanel': false, 'browser.helperApps.neverAsk.saveToDisk': 'application/octet-stream',
        ...(options.map ? { 'network.dns.localDomains': options.map } : {}),
        ...(options.dark ? { 'ui.systemUsesDarkTheme': 1 } : {}),
      },
    });
  if (kind === 'chromium') {
    const cdp = await browser.target().createCDPSession();
    await cdp.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: downloads, eventsEnabled: true });
  }
  return new Driver(browser, kind, downloads, options);
}

class Driver {
  constructor(browser, kind, downloads, options) {
    Object.assign(this, { browser, kind, downloads, options });
  }

  close() { return this.browser.close(); }

  // visit opens the page in a fresh tab and waits for the Go program; or, without
  // wait, for nothing.
  async visit(url, { wait = true, before } = {}) {
    const page = await this.browser.newPage();
    page.setDefaultTimeout(60000); // a machine that does other things as well
    const view = new View(this, page);
    if (this.options.dark && this.kind === 'chromium') await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    page.on('request', (request) => view.requests.push(request.url()));
    page.on('pageerror', (error) => view.errors.push(String(error)));
    // The one hook: the phases that the page goes through.
    await page.evaluateOnNewDocument(() => {
      globalThis.phases = [];
      new MutationObserver(() => {
        const phase = document.documentElement?.dataset.phase;
        if (phase && phase !== globalThis.phases.at(-1)) globalThis.phases.push(phase);
      }).observe(document, { attributes: true, subtree: true, childList: true, attributeFilter: ['data-phase'] });
    });
    if (before) await page.evaluateOnNewDocument(before);
    await page.goto(url, { waitUntil: wait ? 'load' : 'domcontentloaded' });
    if (wait) await view.ready();
    return view;
  }
}

class View {
  constructor(driver, page) {
    Object.assign(this, { driver, page, requests: [], errors: [] });
  }

  // ready waits until the page can be used; one that has given up never can.
  async ready() {
    const said = () => this.page.evaluate(() => `${document.documentElement.dataset.phase}: ${document.getElementById('starting')?.textContent.replace(/\s+/g, ' ').trim()}`);
    await this.page.waitForFunction(() => ['empty', 'open', 'stopped'].includes(document.documentElement.dataset.phase)).catch(async (error) => { throw new Error(`${error.message}; the page is ${await said()}`); });
    const is = await said();
    if (is.startsWith('stopped')) throw new Error(`the page is ${is}`);
    this.seen = await this.page.evaluate(() => globalThis.phases.length);
  }

  // now notes the phases so far, for settled.
  async now() {
    this.seen = await this.page.evaluate(() => globalThis.phases.length);
  }

  // pick gives files to the input, as the picker does: by reference.
  async pick(...files) {
    await this.now();
    await (await this.page.$('#file')).uploadFile(...files);
  }

  async pickPDB(file) {
    await this.now();
    await (await this.page.$('#pdb')).uploadFile(file);
  }

  // drop drops files: from disk in Chromium; in Firefox a DragEvent with files
  // that an input of the test's own has picked.
  async drop(...files) {
    await this.now();
    if (this.driver.kind === 'chromium') {
      const cdp = await this.page.createCDPSession();
      const data = { items: [], files, dragOperationsMask: 1 };
      for (const type of ['dragEnter', 'dragOver', 'drop']) await cdp.send('Input.dispatchDragEvent', { type, x: 200, y: 200, data });
      await cdp.detach();
      return;
    }
    await this.page.evaluate(() => {
      const input = document.createElement('input');
      input.type = 'file';
      input.multiple = true;
      input.id = 'test-drop';
      document.body.append(input);
    });
    const input = await this.page.$('#test-drop');
    await input.uploadFile(...files);
    await this.page.evaluate(() => {
      const input = document.getElementById('test-drop'), data = new DataTransfer();
      for (const file of input.files) data.items.add(file);
      for (const type of ['dragenter', 'dragover', 'drop']) document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: data }));
      input.remove();
    });
  }

  visible(selector, timeout = 90000) {
    return this.page.waitForSelector(selector, { visible: true, timeout });
  }

  text(selector) {
    return this.page.$eval(selector, (e) => e.textContent.trim());
  }

  isVisible(selector) {
    return this.page.$eval(selector, (e) => e.checkVisibility());
  }

  // click waits until the control can be used; it is scrolled to and clicked.
  async click(selector) {
    await this.page.waitForFunction((s) => { const e = document.querySelector(s); return e && e.checkVisibility() && !e.disabled; }, { timeout: 90000 }, selector);
    await (await this.page.$(selector)).click();
  }

  // settled waits until what was begun last is over.
  async settled(timeout = 120000) {
    await this.page.waitForFunction((seen) => {
      const later = globalThis.phases.slice(seen);
      return (later.includes('busy') || later.includes('loading')) && ['empty', 'open'].includes(later.at(-1));
    }, { timeout }, this.seen || 0);
    await this.now();
  }

  // press clicks a control that begins work, and waits for the end of it.
  async press(selector) {
    await this.now();
    await this.click(selector);
    await this.settled();
  }

  // converted waits for the dump; it fails with what the page says instead.
  async converted(timeout = 120000) {
    await this.page.waitForFunction(() => document.documentElement.dataset.phase === 'open', { timeout });
    if (!await this.page.$('#save')) throw new Error(`there is no dump: ${await this.page.evaluate(() => document.querySelector('main').innerText)}\n${await this.text('#log')}`);
  }

  // json gives the summary as the page shows it.
  async json() {
    if (!await this.page.$('#json')) await this.click('#json-show');
    return this.text('#json');
  }

  // dumpBytes is the size of the dump that is offered, as the page says it.
  async dumpBytes() {
    return Number(/\(([\d,]+) bytes\)/.exec(await this.text('#dump-text'))[1].replaceAll(',', ''));
  }

  async summary() {
    return JSON.parse(await this.json());
  }

  // save clicks the download and gives the saved file, which has the size of
  // the Blob.
  async save(timeout = 120000, press = () => this.click('#save')) {
    for (const name of readdirSync(this.driver.downloads)) rmSync(join(this.driver.downloads, name));
    const bytes = await this.dumpBytes();
    await press();
    const end = Date.now() + timeout;
    for (;;) {
      const names = readdirSync(this.driver.downloads), whole = names.filter((n) => n.endsWith('.dmp'));
      if (names.length === 1 && whole.length === 1) {
        const file = join(this.driver.downloads, whole[0]);
        // Firefox renames a file that it has saved.
        if (statSync(file, { throwIfNoEntry: false })?.size === bytes) return file;
      }
      if (Date.now() > end) throw new Error(`the download did not end: ${names.map((n) => `${n} ${statSync(join(this.driver.downloads, n), { throwIfNoEntry: false })?.size}`)} of ${bytes}`);
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  async savedSum() {
    return sha256(await this.save());
  }

  // failure gives the code of the fault that is shown, '' where none is.
  failure() {
    return this.page.evaluate(() => document.querySelector('.fault')?.dataset.code || '');
  }

  // failed waits for a fault, and gives its text.
  async failed(code) {
    await this.page.waitForSelector(`.fault${code ? `[data-code="${code}"]` : ''}`, { visible: true, timeout: 90000 });
    return this.text('.fault');
  }

  // hidden reports whether an element is not there, or not seen.
  hidden(selector) {
    return this.page.evaluate((s) => !document.querySelector(s)?.checkVisibility(), selector);
  }

  // foreign lists requests that left the origin of the page.
  foreign() {
    const origin = new URL(this.page.url()).origin;
    return this.requests.filter((url) => !url.startsWith(origin + '/') && !url.startsWith(`blob:${origin}/`) && !url.startsWith('data:'));
  }

  symbolRequests() {
    return this.requests.filter((url) => new URL(url).pathname.includes('/symbols/'));
  }
}
