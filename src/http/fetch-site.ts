/**
 * Navigations, images and other requests that a page of another site makes and a browser sends without `Origin`. The
 * page cannot read what comes back, but a request alone can have an effect: each visit of `/v1/capture` starts a
 * capture, and holds its place while the download lasts. Browsers say where a request comes from in `Sec-Fetch-Site`,
 * which no page can set (https://www.w3.org/TR/fetch-metadata/).
 *
 * `cross-site` and `same-site` are refused; the latter is another port of this machine, where a server of another user
 * may be. Pages for people may be linked to, so a navigation of a whole window to one of them is let through. What is
 * `none` was typed or bookmarked.
 *
 * A browser that is too old for this header is known by its `User-Agent`, which no page can set either. From such a
 * browser, a request that has an effect needs a bearer token, which a navigation does not carry; a cached Basic
 * password is sent with every navigation.
 */
import type { IncomingHttpHeaders } from 'node:http'

/** What the route is to a browser: a page for people, a request with an effect although it is a GET, or any other. */
export type BrowserUse = 'page' | 'effect' | 'data'

/** Whether another site made this request. */
export function isFromOtherSite(headers: IncomingHttpHeaders, use: BrowserUse): boolean {
  const site = headers['sec-fetch-site']
  if (site === undefined) {
    const isBrowser = headers['user-agent']?.startsWith('Mozilla/') === true
    return use === 'effect' && isBrowser && !/^Bearer /i.test(headers.authorization ?? '')
  }
  if (site === 'same-origin' || site === 'none') return false
  return !(use === 'page' && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document')
}
