/** URLs that may hold a secret, as user name and password or in their query, made fit to be shown. */

/**
 * The same without them: `ws://relay.example/ethernet?…`. Text that is no URL stays as it is, but for what stands
 * before an `@`.
 */
export function withoutSecrets(text: string): string {
  return text.replace(/\b([a-z][a-z0-9+.-]*:\/\/)([^\s/?#"]*@)?([^\s?#"]*)(\?[^\s#"]*)?(#[^\s"]*)?/gi, hide)
}

function hide(_all: string, scheme: string, user = '', place = '', query = '', fragment = ''): string {
  const hidden = (part: string, mark: string) => (part.length > 1 ? mark : part)
  return `${scheme}${hidden(user, '…@')}${place}${hidden(query, '?…')}${hidden(fragment, '#…')}`
}

/** Names of fields whose text is a secret wherever it stands. */
const SECRET_KEY = /^(token|secret|password|passphrase|code|authorization)$/i

/**
 * A copy of plain data that may be shown: without secrets in URLs, and without text in fields that are named like a
 * secret.
 */
export function shown(value: unknown, key = ''): unknown {
  if (typeof value === 'string') return SECRET_KEY.test(key) ? '…' : withoutSecrets(value)
  if (Array.isArray(value)) return value.map(each => shown(each, key))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shown(inner, name)]))
}
