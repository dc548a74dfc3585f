/** Goes through the tour of the demo and takes a picture of it. Run by scripts/picture. */
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

const file = path.resolve(process.argv[2] ?? 'demo.png');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 860 }, locale: 'en-US', colorScheme: 'light' });
await page.goto(`${process.env.BASE_URL}/demo`);
await page.locator('[data-step=book].ticked').waitFor({ timeout: 20_000 });
for (const step of ['text', 'answer']) await page.locator(`[data-step=${step}][aria-current] button`).click({ timeout: 20_000 });
await page.locator('[data-step=arrive].ticked').waitFor({ timeout: 20_000 });
await page.waitForLoadState('networkidle').catch(() => {});
fs.mkdirSync(path.dirname(file), { recursive: true });
await page.screenshot({ path: file });
await browser.close();
console.log(`took ${file}`);
