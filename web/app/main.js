/** Starts the web client. */
import { startCalls } from './calls.js';
import { preferredLanguage, useLanguage } from './i18n.js';
import { startNotifying } from './notify.js';
import { workOffline } from './offline.js';
import { go } from './router.js';
import { start } from './session.js';
import { applyTheme } from './theme.js';
import './shell.js';

/** The server's own addresses for places inside the client. */
const PLACES = { '/phone': '#/phone' };

applyTheme();
await useLanguage(preferredLanguage());
if (location.pathname in PLACES && !location.hash) go(PLACES[location.pathname], { replace: true });
document.body.replaceChildren(document.createElement('m-shell'));
await signInForDemo();
await start();
startNotifying();
startCalls();
workOffline();

/** `?as=bob` signs in by itself where the guided demo publishes its accounts; anywhere else it is a session of its own. */
async function signInForDemo() {
  const name = new URLSearchParams(location.search).get('as');
  if (!name) return;
  const { enterDemo } = await import('./demo-session.js');
  await enterDemo(name);
}
