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

  // visit opens the page in a fresh tab and waits for the Go program.
  async visit(url) {
    const page = await this.browser.newPage();
    page.setDefaultTimeout(90000); // a machine that does other things as well
    const view = new View(this, page);
    if (this.options.dark && this.kind === 'chromium') await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    page.on('request', (request) => view.requests.push(request.url()));
    page.on('pageerror', (error) => view.errors.push(String(error)));
    await page.goto(url);
    await page.waitForSelector('html[data-ready]', { timeout: 90000 });
    return view;
  }
}

class View {
  constructor(driver, page) {
    Object.assign(this, { driver, page, requests: [], errors: [] });
  }

  // pick gives files to the input, as the picker does: by reference.
  async pick(...files) {
    const input = await this.page.$('#file');
    await input.uploadFile(...files);
  }

  // drop drops files: from disk in Chromium; in Firefox a DragEvent with files
  // that an input of the test's own has picked.
  async drop(...files) {
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

  // settled waits until nothing runs and either a result or an error is shown.
  async settled(timeout = 120000) {
    await this.page.waitForFunction(() => document.getElementById('work').hidden && (!document.getElementById('result').hidden || !document.getElementById('failure').hidden), { timeout });
  }

  // convert presses Convert and waits for the dump; it fails with the page's error.
  async convert(timeout = 120000) {
    await this.click('#convert');
    await this.page.waitForFunction(() => document.getElementById('work').hidden && (!document.getElementById('dump').hidden || !document.getElementById('failure').hidden), { timeout });
    if (await this.isVisible('#failure')) throw new Error(`the page says ${await this.text('#failure-text')} [${await this.text('#failure-code')}]\n${await this.text('#log')}`);
  }

  // save clicks the download and gives the saved file, which has the size of
  // the Blob.
  async save(timeout = 120000, press = () => this.click('#save')) {
    for (const name of readdirSync(this.driver.downloads)) rmSync(join(this.driver.downloads, name));
    const summary = JSON.parse(await this.text('#json'));
    await press();
    const end = Date.now() + timeout;
    for (;;) {
      const names = readdirSync(this.driver.downloads), whole = names.filter((n) => n.endsWith('.dmp'));
      if (names.length === 1 && whole.length === 1) {
        const file = join(this.driver.downloads, whole[0]);
        // Firefox renames a file that it has saved.
        if (statSync(file, { throwIfNoEntry: false })?.size === summary.dump.bytes) return file;
      }
      if (Date.now() > end) throw new Error(`the download did not end: ${names.map((n) => `${n} ${statSync(join(this.driver.downloads, n), { throwIfNoEntry: false })?.size}`)} of ${summary.dump.bytes}`);
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  async savedSum() {
    return sha256(await this.save());
  }

  failure() {
    return this.text('#failure-code');
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
