/** Goes through the tour of the demo and takes pictures of it: the written word, and a call. Run by scripts/picture. */
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

const file = path.resolve(process.argv[2] ?? 'demo.png');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required'],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 860 }, locale: 'en-US', colorScheme: 'light' });
await page.goto(`${process.env.BASE_URL}/demo`);
await page.locator('[data-step=book].ticked').waitFor({ timeout: 20_000 });
for (const step of ['text', 'answer']) await page.locator(`[data-step=${step}][aria-current] button`).click({ timeout: 20_000 });
await page.locator('[data-step=arrive].ticked').waitFor({ timeout: 20_000 });
await page.waitForLoadState('networkidle').catch(() => {});
fs.mkdirSync(path.dirname(file), { recursive: true });
await page.screenshot({ path: file });
console.log(`took ${file}`);

// A messenger wide enough for the bar of a call above the conversation, beside the phone that talks with it.
await page.setViewportSize({ width: 1720, height: 860 });
await page.locator('[data-step=call][aria-current] button').click({ timeout: 20_000 });
const bob = page.frameLocator('.tour-messenger');
await bob.locator('.ring-accept').click({ timeout: 20_000 });
await page.locator('[data-step=call].ticked').waitFor({ timeout: 20_000 });
await bob.locator('m-call .bars').waitFor({ timeout: 20_000 });
await page.waitForTimeout(4_000);
await page.screenshot({ path: path.join(path.dirname(file), 'call.png') });
await browser.close();
console.log(`took ${path.join(path.dirname(file), 'call.png')}`);
