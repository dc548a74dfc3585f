/** Texts in the reader's language, with plurals and the language's own dates. */

const LANGUAGES = ['en', 'ko'];
let language = 'en';
let texts = {};
let fallback = {};
let plurals = new Intl.PluralRules('en');
/** What is loaded beside the messenger's own texts, in every language that follows. */
const extra = new Set();

/** The language of this page, `en` or `ko`. */
export function currentLanguage() {
  return language;
}

/** The language to start with: `?lang=`, else what the browser asks for. */
export function preferredLanguage() {
  const asked = new URLSearchParams(location.search).get('lang');
  const wanted = [asked, ...navigator.languages].filter(Boolean).map(tag => tag.slice(0, 2).toLowerCase());
  return wanted.find(tag => LANGUAGES.includes(tag)) ?? 'en';
}

/** Texts by their keys. Other languages travel as lists in the order of the English keys. */
async function read(name) {
  const texts = await fetch(`/i18n/${name}.json`).then(answer => answer.json());
  if (!Array.isArray(texts)) return texts;
  const english = await read(name.replace('ko', 'en'));
  const keys = Object.keys(english);
  // A list of another version would put wrong words in the right places.
  return texts.length === keys.length && texts[0] === english[''] ? Object.fromEntries(keys.map((key, index) => [key, texts[index]])) : english;
}

/** Loads a language; `parts` are the texts of other pages beside the messenger's. Unknown languages become English. Answers whether it changed. */
export async function useLanguage(wanted, parts = []) {
  const next = LANGUAGES.includes(wanted) ? wanted : 'en';
  if (next === language && Object.keys(texts).length) return false;
  const load = name => Promise.all([name, ...parts.map(part => `${part}-${name}`), ...[...extra].map(part => `${part}-${name}`)].map(read))
    .then(all => Object.assign({}, ...all));
  [texts, fallback] = await Promise.all([load(next), next === 'en' ? {} : load('en')]);
  language = next;
  plurals = new Intl.PluralRules(next);
  document.documentElement.lang = next;
  return true;
}

/** Texts that come later, with the code that shows them. */
export async function addTexts(part) {
  if (extra.has(part)) return;
  extra.add(part);
  const [words, others] = await Promise.all([language, 'en'].map(name => read(`${part}-${name}`)));
  Object.assign(texts, words);
  fallback = { ...others, ...fallback };
}

/** The text of a key. `{name}` is filled from `values`; with a number `n`, `key.one` and `key.other` are tried first. */
export function t(key, values = {}) {
  const plural = typeof values.n === 'number' ? `${key}.${plurals.select(values.n)}` : key;
  const text = texts[plural] ?? texts[key] ?? texts[`${key}.other`] ?? fallback[plural] ?? fallback[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/** Whether there is a text of that key. */
export function has(key) {
  return key in texts;
}

/** What to tell about an error: our own words for codes we know, else the server's sentence. */
export function explain(error) {
  const key = `error.${error.code}`;
  if (has(key)) return t(key);
  if (!error.status) return t('error.offline');
  return error.message || t('error.internal');
}

/** The text for one field's error. */
export function explainField({ field, code, detail }) {
  for (const key of [`error.${field}.${code}`, `error.${code}`]) if (has(key)) return t(key);
  return detail || t('error.invalid_input');
}
