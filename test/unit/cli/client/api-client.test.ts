import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { ApiClient } from '#src/cli/client/api-client.js'
import { makeCertificates } from '../../../support/certificates.js'
import { requirements } from '../../../support/requires.js'

const closers: (() => unknown)[] = []
after(() => {
  for (const close of closers) close()
})

async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  closers.push(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

describe('a request of the command line', () => {
  it('keeps the path of the address, so that a token goes nowhere else', async () => {
    const asked: string[] = []
    const server = createServer(({ url, headers }, response) => {
      asked.push(`${url} ${headers.authorization}`)
      response.end('{}')
    })
    const client = new ApiClient({ url: `http://127.0.0.1:${await portOf(server)}/lab`, token: 'mine' })
    await client.get('/v1/ports')
    assert.deepEqual(asked, ['/lab/v1/ports Bearer mine'])
  })

  it('names --ca where a certificate is not trusted', requirements({ commands: ['openssl'] }), async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tapswitch-ca-'))
    closers.push(() => rmSync(folder, { recursive: true }))
    const { authority, certificate, key } = makeCertificates(folder)
    const files = { cert: readFileSync(certificate), key: readFileSync(key) }
    const server = createTlsServer(files, (_request, response) => response.end('{}'))
    const url = `https://127.0.0.1:${await portOf(server)}`
    await assert.rejects(new ApiClient({ url }).get('/'), /is not trusted: .* with --ca$/)
    assert.deepEqual(await new ApiClient({ url, ca: readFileSync(authority, 'utf8') }).get('/'), {})
  })
})
