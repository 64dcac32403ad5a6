/** A certificate authority of the test's own, and what it signed for this machine. */
import { execFileSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificates {
  /** Paths of PEM files. */
  authority: string
  certificate: string
  key: string
}

/** For 127.0.0.1, ::1, localhost and `names`; valid for a day. Needs openssl. */
export function makeCertificates(folder: string, names: readonly string[] = []): Certificates {
  const path = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']
  openssl('req', '-x509', ...fresh, '-subj', '/CN=test authority', '-keyout', path('ca.key'), '-out', path('ca.pem'))
  openssl(
    ...['req', '-x509', ...fresh, '-subj', '/CN=localhost', '-CA', path('ca.pem'), '-CAkey', path('ca.key')],
    ...[
      '-addext',
      `subjectAltName=${['IP:127.0.0.1', 'IP:::1', ...['localhost', ...names].map(name => `DNS:${name}`)]}`,
    ],
    ...['-addext', 'basicConstraints=critical,CA:FALSE'],
    ...['-keyout', path('server.key'), '-out', path('server.pem')],
  )
  chmodSync(path('server.key'), 0o600)
  return { authority: path('ca.pem'), certificate: path('server.pem'), key: path('server.key') }
}
