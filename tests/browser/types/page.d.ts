/** What the web client's own code adds to the page, and the API's types under the names that the client uses. */
import type { components } from './api';

type Schemas = components['schemas'];

declare global {
  type Account = Schemas['AccountView'];
  type Contact = Schemas['Contact'];
  type Presence = Schemas['Presence'];
  type Conversation = Schemas['ConversationView'];
  type Message = Schemas['MessageView'];
  type Call = Schemas['Call'];
  type Sms = Schemas['SmsView'];
  type Trace = Schemas['TraceView'];
  /** A message that the server has not taken yet. */
  type Waiting = Partial<Message> & { client_id: string; contact_id: string | null; text: string; state: string; sent_at: string };
  type Thread = { messages: Message[]; next: string | null; newer?: string | null; state: 'loading' | 'ready' | 'failed' };
  type State = {
    phase: 'starting' | 'signed-out' | 'signed-in';
    account: Account | null;
    photo: string | null;
    language: string | null;
    connection: 'connecting' | 'online' | 'offline';
    ready: boolean;
    conversations: Record<string, Conversation>;
    contacts: Record<string, Contact>;
    threads: Record<string, Thread>;
    drafts: Record<string, string>;
    typing: Record<string, true>;
    outbox: Record<string, Waiting>;
    calls: Record<string, Call>;
    ringing: string | null;
  };

  interface Element {
    /** Of `keyed`: the children by their keys. */
    keyedChildren?: Map<string, any>;
    /** Of a row in a thread. */
    rowKey?: string;
    /** What a node shows, to leave it alone while it does. */
    sign?: string;
    text?: string;
    shown?: unknown;
    /** Of a field: its control. */
    input?: any;
    /** Of the shell: the wait before a lost connection is told. */
    patience?: any;
    /** Of the player of a voicemail. */
    voicemail?: any;
    /** Of a view of the console: look at the address again, load again. */
    follow?: (query?: URLSearchParams) => unknown;
    reload?: () => unknown;
  }
  interface ParentNode {
    querySelector(selectors: string): HTMLInputElement | null;
    querySelectorAll(selectors: string): NodeListOf<HTMLInputElement>;
  }
  interface DocumentEventMap {
    'meari-message': CustomEvent<Message>;
    'meari-call': CustomEvent<Call>;
  }
  interface Navigator {
    /** The kind of network, where a browser tells it. */
    connection?: any;
  }
  interface EventTarget {
    value?: any;
  }
}
