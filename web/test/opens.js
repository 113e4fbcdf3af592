// node web/test/opens.js URL: the page there becomes ready in Chromium, and its sample
// is converted. .ci/release-test runs it.
import assert from 'node:assert/strict';
import { launch } from './lib/browsers.js';

const driver = await launch('chromium');
try {
  const view = await driver.visit(process.argv[2]);
  await view.press('#sample-crash');
  await view.converted();
  assert.deepEqual(view.errors, []);
  console.log(`the page opens, and converts: ${await view.text('#opened-name')}`);
} finally {
  await driver.close();
}
process.exit(0);
