/**
 * What is wrong, in words, when the page does not get what it asked the switch for, and what to do about it.
 *
 * Three can refuse: the switch, which says so in a problem (RFC 9457) with a `code`; a proxy in front of it, whose
 * answers have another form; and the network, which gives no answer. The advice differs, so the form of the answer
 * decides first.
 */

/** What is looked at of an answer; a Response has it. */
export interface Refusing {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  text(): Promise<string>
}

const PROXY_HELP = 'docs/proxies.md has settings for nginx, Caddy and HAProxy.'

/** How `host` has to be served, by the code of the problem. */
const advice: Record<string, (host: string) => string> = {
  'wrong-host': host =>
    `Add "${nameOf(host)}" to http.allowedHosts of the switch, or have the proxy pass on the Host header. ${PROXY_HELP}`,
  'wrong-origin': host =>
    `If this page comes through a proxy, have it pass on the Host header "${host}", and add "${nameOf(host)}" to http.allowedHosts. ` +
    PROXY_HELP,
  'wrong-site': host =>
    host.startsWith('127.') || host.startsWith('localhost') || host.startsWith('[::1]')
      ? 'Open the address of this page in a window of its own.'
      : 'Open the address of this page in a window of its own, by https, and with a link of "tapswitch link" for captures.',
  'token-missing': () => 'Load this page again: the browser asks for a token, as the password of any user name.',
  'token-unknown': () => 'Load this page again with a token that is in force, or with a new link of "tapswitch link".',
  'token-expired': () => 'Load this page again with a token that is in force.',
  'role-too-weak': () => 'Use a token with the role control, or a link of "tapswitch link".',
  'too-many-failures': () => 'Wait a minute; behind a proxy, all callers count as one.',
  'too-many-readers': () => 'Close other pages and programs that read events.',
}

/**
 * One or two sentences about an answer that is not what was asked for. `host`: name and port that the page was loaded
 * from.
 */
export async function wordsOf(answer: Refusing, host: string): Promise<string> {
  const problem = await problemOf(answer)
  if (problem !== undefined) {
    const detail = problem.detail ?? `The switch answered with status ${answer.status}.`
    const help = advice[problem.code ?? '']?.(host)
    return help === undefined ? detail : `${detail} ${help}`
  }
  return `${foreignWords(answer.status)} ${PROXY_HELP}`
}

/** Of what is not in the switch's form. */
function foreignWords(status: number): string {
  if (status === 502 || status === 503 || status === 504) {
    return (
      `A proxy in front of the switch answers, with status ${status}: it does not reach the switch. See whether tapswitch runs, and ` +
      'whether the proxy has the address of http.listen.'
    )
  }
  if (status === 401 || status === 403 || status === 407) {
    return `A proxy in front of the switch refuses this page, with status ${status}. Load it again and log in, or see what the proxy allows.`
  }
  if (status === 404) {
    return (
      'What answers with status 404 is not the switch. A proxy must pass on every path below that of this page, ' +
      'without the prefix that it has for the switch.'
    )
  }
  return `What answers, with status ${status}, is not the switch but a proxy or another server at this address.`
}

/** Of a request without an answer. */
export const noAnswer =
  'No answer. See whether tapswitch runs ("tapswitch status"), and whether what leads to it does: a proxy, ssh -L.'

/** Of events that do not come although the rest of the API answers. */
export const noEvents = `The stream of events breaks or does not begin: a proxy may hold it back or end it. ${PROXY_HELP}`

async function problemOf(answer: Refusing): Promise<{ code?: string; detail?: string } | undefined> {
  if (!isOfType(answer, 'application/problem+json')) return undefined
  try {
    return JSON.parse(await answer.text())
  } catch {
    return undefined
  }
}

export function isOfType({ headers }: Pick<Refusing, 'headers'>, type: string): boolean {
  return headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase() === type
}

function nameOf(host: string): string {
  return host.replace(/:\d+$/, '')
}
