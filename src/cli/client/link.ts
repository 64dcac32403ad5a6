/** `tapswitch link`: a link that gives the page in a browser the role control, for one use. */
import { UsageError } from '../../errors.js'
import type { Output } from '../output.js'
import type { ApiClient } from './api-client.js'

export async function link(api: ApiClient, output: Output): Promise<void> {
  if (api.url.startsWith('unix:')) {
    throw new UsageError(`a browser cannot open ${api.url}; the page needs http.listen on an address`)
  }
  const { secret } = (await api.call('POST', '/v1/session/code')) as { secret: string }
  output.out(`${api.url}/#code=${secret}`)
}
