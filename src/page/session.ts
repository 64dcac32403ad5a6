/**
 * The role of this page. A link with `#code=` gives it the role control: the code is exchanged for a token, which stays
 * in the storage of this tab and goes with every request. Without one the page has the role of callers without a token,
 * or what the browser asked its user for.
 */
import { element } from './dom.js'
import { noAnswer, wordsOf } from './trouble.js'

const KEY = 'tapswitch-session'

export function sessionHeaders(): Record<string, string> {
  const token = sessionStorage.getItem(KEY)
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

/** The switch does not know the token any more, or it has expired. Returns whether there was one. */
export function forgetSession(): boolean {
  const had = sessionStorage.getItem(KEY) !== null
  sessionStorage.removeItem(KEY)
  return had
}

/** Takes the code out of the address, so that it is in no bookmark, and exchanges it. */
export async function openSession(): Promise<void> {
  const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1]
  let trouble = ''
  if (code !== undefined) {
    history.replaceState(null, '', location.pathname + location.search)
    const answer = await post({ code })
    if (answer.secret !== undefined) sessionStorage.setItem(KEY, answer.secret)
    else trouble = `No control: ${answer.words} `
  }
  await showRole(trouble)
}

async function post(body: object): Promise<{ secret?: string; words?: string }> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch('v1/session', { method: 'POST', headers, body: JSON.stringify(body) }).catch(() => null)
  if (response === null) return { words: noAnswer }
  if (!response.ok) return { words: await wordsOf(response, location.host) }
  const { secret } = (await response.json().catch(() => ({}))) as { secret?: unknown }
  return typeof secret === 'string' ? { secret } : { words: await wordsOf(response, location.host) }
}

export async function showRole(trouble = ''): Promise<void> {
  const response = await fetch('v1/session', { headers: sessionHeaders(), cache: 'no-store' }).catch(() => null)
  if (response?.status === 401 && forgetSession()) return showRole(trouble)
  const { role } = (response?.ok ? await response.json().catch(() => ({})) : {}) as { role?: string }
  const access = element('access')
  access.textContent =
    role === 'read'
      ? `${trouble}Read only: "tapswitch link" in a terminal prints a link that gives this page control.`
      : trouble
  access.hidden = access.textContent === ''
  element<HTMLButtonElement>('capture-start').disabled = role === 'read'
}
