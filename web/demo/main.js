/**
 * The guided demo: a plain phone, a messenger and a stranger side by side, and steps that tick themselves off. One person
 * has both ends of a call: by turns the microphone and the loudspeaker are Bob's or Alice's, a melody speaks for the other.
 */
import { el, setText } from '../app/dom.js';
import { currentLanguage, preferredLanguage, t, useLanguage } from '../app/i18n.js';
import { icon, mark } from '../app/icons.js';
import { button, toast } from '../app/parts.js';
import { keep, recall } from '../app/storage.js';
import { number } from '../app/format.js';
import { STEPS, count } from './steps.js';
import { inCall, openWorld, phoneOf } from './world.js';

/** How long one may look at what one has done before the narrow page turns to where it has its effect. */
const FOLLOW_MS = 1_200;

let world = null;
let start = null;
let steps = STEPS;
let device = 'alice';
const done = new Set();
/** Whose mouth and ear the visitor has. */
let role = 'bob';
const stageChannel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('meari:stage') : null;
stageChannel?.addEventListener('message', ({ data }) => data?.ask && stageChannel.postMessage({ turn: role }));
const nodes = {};

await useLanguage(recall('language') ?? preferredLanguage());
build();
try {
  world = await openWorld(changed);
  start = count(world);
  steps = STEPS.filter(step => step.needs?.(world) ?? true);
  build();
  changed();
  await import('/phone/phone.js').catch(() => {});
  play(role);
} catch {
  setText(nodes.lead, t('demo.away'));
}

function build() {
  document.title = `${t('demo.title')} – ${t('app.name')}`;
  nodes.lead = el('p', { class: 'tour-lead' }, t('demo.lead'));
  nodes.list = el('ol', { class: 'tour-steps' }, steps.map(stepNode));
  nodes.spoken = el('p', { class: 'unseen', role: 'status' });
  document.body.replaceChildren(
    el('header', { class: 'tour-head' },
      el('div', { class: 'tour-brand' }, mark(), el('div', {}, el('h1', {}, t('demo.title')), nodes.lead)), world ? roles() : null,
      el('div', { class: 'tour-links' }, languageButton(), el('a', { class: 'button', href: '/', target: '_blank', rel: 'noopener' }, t('demo.open_app')))),
    el('main', { class: 'tour' }, el('section', { class: 'tour-guide', 'aria-label': t('demo.steps') }, nodes.list, nodes.spoken),
      world ? tabs() : null, world ? stage() : el('p', { class: 'tour-wait', role: 'status' }, t('app.starting'))));
  show();
}

function stepNode(step, index) {
  const act = step.act ? button(t(`demo.step.${step.id}.act`), { kind: 'small', onclick: () => perform(step) }) : null;
  return el('li', { class: 'tour-step', dataset: { step: step.id } },
    el('span', { class: 'tour-tick', 'aria-hidden': 'true' }, el('span', {}, String(index + 1)), icon('sent')),
    el('div', { class: 'tour-words' }, el('h2', {}, t(`demo.step.${step.id}.title`), el('span', { class: 'unseen tour-done' })),
      el('p', {}, t(`demo.step.${step.id}.text`)), act));
}

async function perform(step) {
  turn(step.device);
  try {
    await step.act(world);
  } catch {
    toast(t('demo.failed'));
  }
}

function stage() {
  const dave = phoneOf(world, 'dave');
  const messenger = el('iframe', { class: 'tour-messenger', title: t('demo.bob.title'), src: `/?as=bob&lang=${currentLanguage()}${world.chat.address ?? ''}` });
  return el('div', { class: 'tour-stage', dataset: { phones: dave ? '2' : '1' } },
    frame('alice', phoneNode('alice')), frame('bob', messenger), dave ? frame('dave', phoneNode('dave')) : null);
}

function phoneNode(who) {
  const phone = phoneOf(world, who);
  if (!phone) return el('p', {}, t('demo.away'));
  const name = world.sheet.phones.find(entry => entry.number === phone.number)?.name ?? who;
  return el('sim-phone', { base: world.simulator, number: phone.number, name, lang: currentLanguage() });
}

function frame(who, content) {
  const phone = who === 'bob' ? null : phoneOf(world, who);
  return el('section', { class: `tour-device tour-${who}`, dataset: { device: who }, 'aria-label': t(`demo.${who}.title`) },
    el('header', {}, el('h2', {}, t(`demo.${who}.title`)), el('p', {}, t(`demo.${who}.text`, { number: number(phone?.number) }))),
    el('div', { class: 'tour-screen' }, content));
}

/** On a narrow page one device is seen at a time. */
function tabs() {
  const names = ['alice', 'bob', ...(phoneOf(world, 'dave') ? ['dave'] : [])];
  return el('div', { class: 'tour-tabs', role: 'group', 'aria-label': t('demo.devices') }, names.map(name => el('button', {
    type: 'button', class: 'tour-tab', dataset: { tab: name }, 'aria-pressed': String(name === device), onclick: () => turn(name) }, t(`demo.${name}.short`))));
}

function turn(name) {
  device = name;
  document.body.dataset.device = name;
  for (const tab of document.querySelectorAll('[data-tab]')) tab.setAttribute('aria-pressed', String(tab.dataset.tab === name));
}

/** Shown while there is a call: who of the two one is. */
function roles() {
  nodes.roles = el('fieldset', { class: 'tour-roles choices', hidden: true }, el('legend', {}, t('demo.role')),
    ['bob', 'alice'].map(name => el('label', { class: 'choice' }, el('input', { type: 'radio', name: 'role', value: name, checked: name === role, onchange: () => play(name) }), el('span', {}, t(`demo.role.${name}`)))),
    el('p', { class: 'hint' }, t('demo.role_hint')));
  return nodes.roles;
}

function play(name) {
  role = name;
  stageChannel?.postMessage({ turn: name });
  for (const node of document.querySelectorAll('sim-phone')) {
    const phone = /** @type {any} */ (node);
    phone.speakWith?.(name === 'alice' ? 'mic' : 'tune');
    phone.hear?.(name === 'alice');
  }
}

function changed() {
  if (nodes.roles) nodes.roles.hidden = !inCall(world);
  if (!start) return;
  for (const [index, step] of steps.entries()) {
    const before = steps.slice(0, index).every(({ id }) => done.has(id));
    if (done.has(step.id) || !before || !step.done(world, start)) continue;
    done.add(step.id);
    setText(nodes.spoken, t('demo.ticked', { step: t(`demo.step.${step.id}.title`) }));
    const next = step.follow ?? steps[index + 1]?.device;
    if (next) setTimeout(turn, FOLLOW_MS, next);
  }
  show();
}

function show() {
  document.body.dataset.device = device;
  const current = steps.find(({ id }) => !done.has(id));
  for (const node of nodes.list.children) {
    const ticked = done.has(node.dataset.step);
    node.classList.toggle('ticked', ticked);
    if (node.dataset.step === current?.id && world) node.setAttribute('aria-current', 'step');
    else node.removeAttribute('aria-current');
    setText(node.querySelector('.tour-done'), ticked ? ` – ${t('demo.done')}` : '');
  }
  document.body.classList.toggle('tour-finished', !current);
  setText(nodes.lead, current ? t('demo.lead') : t('demo.finished'));
}

function languageButton() {
  const other = currentLanguage() === 'en' ? ['ko', '한국어'] : ['en', 'English'];
  return el('button', { type: 'button', class: 'button link', lang: other[0], onclick: async () => {
    keep('language', other[0]);
    await useLanguage(other[0]);
    build();
    show();
    play(role);
  } }, other[1]);
}
