/**
 * What a tab leaves for itself when it is reloaded before the store has everything: a page that is left has no time for
 * IndexedDB.
 */

import type { Conversation, Turn } from "./conversations.js";

/** Where a tab notes which conversation it has, and the conversation if not all of it was stored. */
const CURRENT = "chord-chat.conversation";
const DRAFT = "chord-chat.draft";

/** Remembers for this tab which conversation it has; an empty one is not remembered. */
export function noteConversation(conversation: Conversation | null): void {
  write(CURRENT, conversation && conversation.turns.length > 0 ? conversation.id : null);
}

export function notedConversation(): string | null {
  return read(CURRENT);
}

/** Leaves a conversation for the next page of this tab. */
export function leaveDraft(conversation: Conversation | null): void {
  write(DRAFT, conversation && conversation.turns.length > 0 ? JSON.stringify(conversation) : null);
}

/** What the last page left, only once: a later reload leaves its own. */
export function takeDraft(): Conversation | null {
  const text = read(DRAFT);
  write(DRAFT, null);
  return text === null ? null : (JSON.parse(text) as Conversation);
}

/**
 * The draft, if it continues the stored conversation. Null if the store has other turns: those of another tab stay.
 */
export function joined(stored: Conversation | null, draft: Conversation): Conversation | null {
  if (!stored) return { ...draft, revision: 0 };
  const goesOn = (turn: Turn, index: number) => draft.turns[index]?.text.startsWith(turn.text) ?? false;
  return stored.turns.every(goesOn) ? { ...draft, revision: stored.revision } : null;
}

function write(key: string, value: string | null): void {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
  } catch {
    // A browser that refuses this, or has no room, loses the last moment.
  }
}

function read(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}
