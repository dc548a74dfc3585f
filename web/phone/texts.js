/** The words of the simulated phone, in English and Korean. */

const TEXTS = {
  en: {
    phone: name => `Phone of ${name}`,
    messages: 'Messages',
    contacts: 'Contacts',
    screens: 'Screens',
    power: 'Power',
    off: 'Switched off',
    off_hint: 'Messages to this phone do not arrive.',
    back: 'Back',
    no_threads: 'No messages yet. Choose a contact and write.',
    no_contacts: 'The address book is empty.',
    no_match: 'Nobody by that name.',
    find: 'Name or number',
    write_to: number => `Write to ${number}`,
    conversation: name => `Conversation with ${name}`,
    empty: 'Nothing written yet.',
    compose: 'Text message',
    send: 'Send',
    you: 'You',
    sending: 'Sending',
    sent: 'Sent',
    failed: 'Not sent',
    attachment: 'Attachment',
    synced: (count, ago) => `${count === 1 ? '1 contact' : `${count} contacts`}, synced ${ago}`,
    not_synced: 'Not synced yet',
    no_book: 'No address book account',
    sync: 'Sync now',
    unread: count => `${count} new`,
    connecting: 'Connecting…',
    gone: 'This phone does not exist.',
    lost: 'The simulator does not answer. Trying again.',
    not_taken: 'The message could not be sent.',
  },
  ko: {
    phone: name => `${name}의 휴대폰`,
    messages: '메시지',
    contacts: '연락처',
    screens: '화면',
    power: '전원',
    off: '전원이 꺼져 있습니다',
    off_hint: '이 휴대폰으로 보낸 메시지가 도착하지 않습니다.',
    back: '뒤로',
    no_threads: '아직 메시지가 없습니다. 연락처를 골라 보내 보세요.',
    no_contacts: '주소록이 비어 있습니다.',
    no_match: '찾는 사람이 없습니다.',
    find: '이름 또는 번호',
    write_to: number => `${number}(으)로 보내기`,
    conversation: name => `${name} 님과의 대화`,
    empty: '아직 주고받은 메시지가 없습니다.',
    compose: '문자 메시지',
    send: '보내기',
    you: '나',
    sending: '보내는 중',
    sent: '보냄',
    failed: '보내지 못함',
    attachment: '첨부 파일',
    synced: (count, ago) => `연락처 ${count}개, ${ago} 동기화`,
    not_synced: '아직 동기화하지 않음',
    no_book: '주소록 계정 없음',
    sync: '지금 동기화',
    unread: count => `새 메시지 ${count}개`,
    connecting: '연결하는 중…',
    gone: '없는 휴대폰입니다.',
    lost: '시뮬레이터가 응답하지 않습니다. 다시 시도합니다.',
    not_taken: '메시지를 보내지 못했습니다.',
  },
};

/** The words for `language` (`ko`, `ko-KR`, …); English for any other than Korean. */
export function texts(language) {
  return TEXTS[language?.toLowerCase().startsWith('ko') ? 'ko' : 'en'];
}

/** The language around an element: its own `lang`, that of what encloses it, the document's, the browser's. */
export function languageOf(element) {
  return element.closest('[lang]')?.lang || document.documentElement.lang || navigator.language || 'en';
}
