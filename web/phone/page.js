/** The simulator's own page: all phones side by side, a form for more, bad days, and what became of callbacks. */
import { el, shownNumber, shownTime } from './parts.js';
import './phone.js';

const KOREAN = {
  title: '휴대폰', lead: '휴대폰마다 자기 번호와 주소록, 메시지가 있습니다.', add: '휴대폰 추가', number: '번호', name: '이름',
  url: '주소록(CardDAV), 있으면', username: '사용자 이름', password: '앱 비밀번호', weather: '통신사를 고장 내기', how: '방식',
  good: '정상', slow: '5초 늦게 응답', limited: '거절: 요청이 너무 많음(429)', down: '거절: 서비스 중단(503)',
  dropped: '메시지를 받고 연결을 끊음', lost: '수신 확인을 모두 잃어버림', late: '수신 확인이 10초 늦음', repeated: '모든 것을 세 번 알림',
  reordered: '수신 확인의 순서가 바뀜', absent: '단말기가 꺼져 있음', times: '메시지 몇 건 동안 (비우면 계속)', apply: '적용',
  log: '고객에게 보낸 콜백', when: '시각', what: '내용', attempt: '시도', outcome: '결과', remove: '치우기',
  none: '아직 휴대폰이 없습니다. 아래에서 추가하세요.', failed: '요청이 이루어지지 않았습니다.',
};
const ENGLISH = { remove: 'Remove', none: 'No phones yet. Add one below.', failed: 'The request was not carried out.' };

const WEATHER = {
  good: {},
  slow: { slow_ms: 5000 },
  limited: { refuse: { status: 429, code: 20429, retry_after_secs: 2 } },
  down: { refuse: { status: 503, code: 20503 } },
  dropped: { drop_answer: true },
  lost: { after_accept: 'lose_receipts' },
  late: { late_ms: 10000 },
  repeated: { repeat_callbacks: 2 },
  reordered: { reorder_callbacks: true },
  absent: { handset: 'absent' },
};

// The page lies beside its files, wherever the simulator is mounted.
const BASE = new URL('.', import.meta.url).pathname.replace(/\/$/, '');
const korean = (new URLSearchParams(location.search).get('lang') ?? navigator.language).startsWith('ko');
const word = key => (korean ? KOREAN[key] : ENGLISH[key]) ?? key;
const byId = id => document.getElementById(id);

async function call(method, path, body) {
  const request = { method };
  if (body) Object.assign(request, { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  const answer = await fetch(BASE + path, request);
  const data = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(data?.detail ?? word('failed'));
  return data;
}

/** Does something and says why when it does not work. */
async function attempt(act) {
  byId('status').textContent = '';
  try {
    return await act();
  } catch (error) {
    byId('status').textContent = error.message || word('failed');
    return undefined;
  }
}

async function showPhones() {
  const { items } = await call('GET', '/phones');
  const stands = new Map([...byId('phones').children].map(stand => [stand.dataset.number, stand]));
  for (const { number, name } of items) {
    if (!stands.has(number)) byId('phones').append(stand(number, name));
    stands.delete(number);
  }
  for (const gone of stands.values()) gone.remove();
  if (!items.length) byId('status').textContent = word('none');
}

function stand(number, name) {
  const remove = async () => {
    await call('DELETE', `/phones/${encodeURIComponent(number)}`);
    await showPhones();
  };
  const button = el('button', { type: 'button', 'aria-label': `${word('remove')}: ${name}`, onclick: () => attempt(remove) }, word('remove'));
  return el('div', { class: 'stand', 'data-number': number }, el('sim-phone', { base: BASE, number, name }), button);
}

async function showCallbacks() {
  if (!byId('log').open || document.hidden) return;
  const { items } = await call('GET', '/callbacks?limit=50');
  const rows = items.map(({ at, message_status: status, message_sid: sid, attempt: count, outcome }) => {
    const answered = outcome.answered;
    const shown = answered ? String(answered) : String(outcome).replace('_', ' ');
    return el('tr', {}, el('td', {}, shownTime(at, document.documentElement.lang)), el('td', {}, `${status} · ${sid.slice(0, 10)}…`),
      el('td', {}, String(count)), el('td', { class: answered >= 200 && answered < 300 ? '' : 'bad' }, shown));
  });
  byId('callbacks').replaceChildren(...rows);
}

function addPhone(form) {
  const given = Object.fromEntries(new FormData(form));
  const phone = { number: given.number.trim(), name: given.name.trim() || shownNumber(given.number.trim()) };
  if (given.url) phone.carddav = { url: given.url, username: given.username, password: given.password };
  return call('POST', '/phones', phone);
}

function start() {
  document.documentElement.lang = korean ? 'ko' : 'en';
  if (korean) for (const node of document.querySelectorAll('[data-text]')) node.textContent = KOREAN[node.dataset.text];
  byId('add-form').addEventListener('submit', event => {
    event.preventDefault();
    attempt(async () => {
      await addPhone(event.target);
      event.target.reset();
      byId('add').open = false;
      await showPhones();
    });
  });
  byId('weather-form').addEventListener('submit', event => {
    event.preventDefault();
    const { how, times } = Object.fromEntries(new FormData(event.target));
    attempt(async () => {
      if (how === 'good') await call('DELETE', '/behaviour');
      else await call('PUT', '/behaviour', { ...WEATHER[how], ...(times ? { times: Number(times) } : {}) });
    });
  });
  byId('log').addEventListener('toggle', () => attempt(showCallbacks));
  setInterval(() => showCallbacks().catch(() => {}), 2000);
  attempt(showPhones);
}

start();
