/** The words and the style of everything about calls: they come with the first module that needs them. */
import { el } from './dom.js';
import { addTexts } from './i18n.js';

const style = new Promise(done => {
  const link = el('link', { rel: 'stylesheet', href: '/style/calls.css', onload: () => done(null), onerror: () => done(null) });
  document.head.append(link);
});

await Promise.all([addTexts('calls'), style]);
