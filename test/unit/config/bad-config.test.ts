import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { transportForms } from '#src/config/transports.js'
import { complaints } from './load-text.js'

/** Title, text of the file, the lines it must bring. */
type Case = readonly [title: string, text: string, ...lines: string[]]

const vms = 'name: vms, type: unixgram, listen: vms.sock'
const one = (options: string) => `transports: [{ ${options} }]`
const types = [...new Set(transportForms.map(form => `"${form.shape.type.value}"`))].join(', ')
const long = `/${'p'.repeat(130)}`

const syntax: Case[] = [
  ['a key that is there twice', 'log: {}\nlog: {}', '/etc/tapswitch.yaml:2:1: this key is there already'],
  ['a key that is there twice in JSON', '{"log":{},"log":{}}', '/etc/tapswitch.yaml:1:11: this key is there already'],
  ['a tab', '\tlog: {}', '/etc/tapswitch.yaml:1:1: Tabs are not allowed as indentation'],
  ['an unknown tag', 'log: !x {}', '/etc/tapswitch.yaml:1:6: Unresolved tag: !x'],
  [
    'two documents',
    'log: {}\n---\nlog: {}',
    '/etc/tapswitch.yaml:2:1: a second document begins here, a configuration is one',
  ],
  ['a key that is a list', '? [a]\n: 1', '/etc/tapswitch.yaml:1:3: a key must be a word'],
  [
    'aliases of aliases',
    `a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [${'*a,'.repeat(10)}]\nc: &c [${'*b,'.repeat(10)}]\nd: [${'*c,'.repeat(10)}]`,
    '/etc/tapswitch.yaml: Excessive alias count indicates a resource exhaustion attack',
  ],
  [
    'an alias of nothing',
    'log: *a',
    '/etc/tapswitch.yaml: Unresolved alias (the anchor must be set before the alias): a',
  ],
  ['a list', '- log', '/etc/tapswitch.yaml: a list is not a mapping of options'],
  ['a word', 'log', '/etc/tapswitch.yaml: "log" is not a mapping of options'],
]

const options: Case[] = [
  [
    'an impairment beyond what there is',
    one(`${vms}, port: { impairment: { loss: 101, delayMs: -1 } }`),
    'transports[0].port.impairment.loss: 101 is not a number from 0 to 100',
    'transports[0].port.impairment.delayMs: -1 is not a number from 0 to 60000',
  ],
  [
    'an unknown option',
    'ports: 4',
    'ports: unknown option, known here: runtimeDir, switch, interfaces, transports, http, process, log',
  ],
  ['a misspelt option', 'swich: {}', 'swich: unknown option, did you mean switch?'],
  [
    'two misspelt options',
    'switch: { maxFramesize: 1514, maxPort: 4 }',
    'switch.maxFramesize: unknown option, did you mean maxFrameSize?',
    'switch.maxPort: unknown option, did you mean maxPorts?',
  ],
  [
    '__proto__',
    '__proto__: { log: 1 }',
    '__proto__: unknown option, known here: runtimeDir, switch, interfaces, transports, http, process, log',
  ],
  ['a relative runtimeDir', 'runtimeDir: run', 'runtimeDir: "run" is not an absolute path'],
  ['an empty mapping', 'switch:', 'switch: empty, must be a mapping of options'],
  ['a list for a mapping', 'switch: []', 'switch: a list is not a mapping of options'],
  ['a mapping for a list', 'transports: {}', 'transports: a mapping is not a list of at most 256'],
  [
    'a number too small',
    'switch: { maxFrameSize: 63 }',
    'switch.maxFrameSize: 63 is not a whole number from 64 to 65550',
  ],
  ['a number too big', 'switch: { maxPorts: 4097 }', 'switch.maxPorts: 4097 is not a whole number from 2 to 4096'],
  ['a fraction', 'switch: { maxPorts: 4.5 }', 'switch.maxPorts: 4.5 is not a whole number from 2 to 4096'],
  ['an endless number', 'switch: { maxPorts: .inf }', 'switch.maxPorts: Infinity is not a whole number from 2 to 4096'],
  ['a quoted number', 'switch: { maxPorts: "4" }', 'switch.maxPorts: "4" is not a whole number from 2 to 4096'],
  [
    'a size that is no number',
    'switch: { bufferBytes: 64 MiB }',
    'switch.bufferBytes: "64 MiB" is not a whole number from 4194304 to 1073741824',
  ],
  [
    'a name with capitals',
    'switch: { name: Lab }',
    'switch.name: "Lab" is not a name: lower-case letters, digits, ".", "_" and "-", at most 63, beginning with a letter or a digit',
  ],
  [
    'an unknown level',
    'log: { level: loud }',
    'log.level: "loud" is not one of "debug", "info", "warn", "error", "silent"',
  ],
  ['http: true', 'http: true', 'http: true is not false or a mapping of options'],
  [
    'a number for http.listen',
    'http: { listen: 80 }',
    'http.listen: 80 is not host:port, or the path of a unix socket',
  ],
  [
    'a token in the file itself, which is not repeated',
    'http: { token: 5ecret }',
    'http.token: must be { file: <path> } or { env: <name> }; the secret itself is not written here',
  ],
  [
    'a token of no known role',
    'http: { tokens: [{ name: p, role: admin, token: { file: p.token } }] }',
    'http.tokens[0].role: "admin" is not one of "read", "control"',
  ],
  [
    'a token that ends at no time',
    'http: { tokens: [{ name: p, role: read, token: { env: P }, expires: tomorrow }] }',
    'http.tokens[0].expires: "tomorrow" is not a date and time such as "2030-01-31T12:00:00Z"',
  ],
]

const transports: Case[] = [
  [
    'a transport that is a word',
    'transports: [vms]',
    'transports[0]: "vms" is not a transport: a mapping with name and type',
  ],
  [
    'an unknown type',
    one('name: a, type: string'),
    `transports[0].type: "string" is not a type of this version: ${types}`,
  ],
  ['no type', one('name: a, listen: a'), `transports[0].type: missing, must be a type of this version: ${types}`],
  [
    'no name',
    one('type: unixgram, listen: a'),
    'transports[0].name: missing, must be a name: lower-case letters, digits, ".", "_" and "-", at most 63, beginning with a letter or a digit',
  ],
  [
    'neither listen nor connect',
    one('name: a, type: unixgram'),
    'transports[0].listen: missing, must be the path of a unix socket',
  ],
  [
    'a misspelt listen',
    one('name: a, type: unixgram, lisen: a'),
    'transports[0].listen: missing, must be the path of a unix socket',
    'transports[0].lisen: unknown option, did you mean listen?',
  ],
  [
    'a directory as socket',
    one('name: a, type: unixgram, listen: a/'),
    'transports[0].listen: "a/" is not the path of a unix socket',
  ],
  [
    'listen and connect',
    one(`${vms}, connect: { local: a, remote: b }`),
    'transports[0].connect: not together with listen',
  ],
  ['listen and handshake', one(`${vms}, handshake: vfkit`), 'transports[0].handshake: only with connect'],
  [
    'connect and peers',
    one('name: a, type: unixgram, connect: { local: a, remote: b }, peers: one'),
    'transports[0].peers: only with listen',
  ],
  [
    'connect with one end',
    one('name: a, type: unixgram, connect: { local: a }'),
    'transports[0].connect.remote: missing, must be the path of a unix socket',
  ],
  [
    'an unknown handshake',
    one('name: a, type: unixgram, connect: { local: a, remote: b }, handshake: hello'),
    'transports[0].handshake: "hello" is not one of "vfkit"',
  ],
  ['two peers', one(`${vms}, peers: two`), 'transports[0].peers: "two" is not one of "many", "one"'],
  ['maxPeers for one', one(`${vms}, peers: one, maxPeers: 2`), 'transports[0].maxPeers: only with peers: many'],
  [
    'too many peers',
    one(`${vms}, maxPeers: 1001`),
    'transports[0].maxPeers: 1001 is not a whole number from 1 to 1000',
  ],
  [
    'a mode without quotes',
    one(`${vms}, permissions: 0600`),
    'transports[0].permissions: 600 is not an octal file mode in quotes, such as "0600"',
  ],
  [
    'a mode with setuid',
    one(`${vms}, permissions: "4600"`),
    'transports[0].permissions: "4600" is not an octal file mode in quotes, such as "0600"',
  ],
  [
    'a list of owners',
    one(`${vms}, owner: [alice]`),
    'transports[0].owner: a list is not the name or the number of a user',
  ],
  ['a negative group', one(`${vms}, group: -1`), 'transports[0].group: -1 is not the name or the number of a group'],
  ['an unknown owner', one(`${vms}, owner: bob`), 'transports[0].owner: "bob" is not a user of this system'],
  ['an unknown group', one(`${vms}, group: alice`), 'transports[0].group: "alice" is not a group of this system'],
  [
    'a word for a flag',
    one(`${vms}, port: { isolated: "yes" }`),
    'transports[0].port.isolated: "yes" is not true or false',
  ],
  [
    'an unknown option of a port',
    one(`${vms}, port: { isolate: true }`),
    'transports[0].port.isolate: unknown option, did you mean isolated?',
  ],
  [
    'an empty queue',
    one(`${vms}, port: { queueFrames: 0 }`),
    'transports[0].port.queueFrames: 0 is not a whole number from 1 to 65536',
  ],
  [
    'static addresses for many peers',
    one(`${vms}, port: { fdb: { static: ["02:00:00:00:00:01"] } }`),
    'transports[0].port.fdb.static: only where a transport has one port: with peers: one, or with connect',
  ],
  [
    'half an address',
    one(`${vms}, peers: one, port: { fdb: { static: ["02:00:00"] } }`),
    'transports[0].port.fdb.static[0]: "02:00:00" is not a MAC address such as "02:00:00:00:00:01"',
  ],
  [
    'addresses of no station',
    one(`${vms}, peers: one, port: { fdb: { static: ["01:00:5e:00:00:01", "00:00:00:00:00:00"] } }`),
    'transports[0].port.fdb.static[0]: "01:00:5e:00:00:01" is not the address of one station: it is a group address or all zeros',
    'transports[0].port.fdb.static[1]: "00:00:00:00:00:00" is not the address of one station: it is a group address or all zeros',
  ],
  [
    'an interface',
    'interfaces: [{ name: lan, type: bond }]',
    'interfaces[0].type: "bond" is not a type of this version: "auto", "slirp", "tap", "vmnet"',
  ],
]

const together: Case[] = [
  [
    'a port that may have more addresses than the table',
    'switch: { fdb: { maxEntries: 100, maxEntriesPerPort: 101 } }',
    'switch.fdb.maxEntriesPerPort: 101 is more than switch.fdb.maxEntries, which is 100',
  ],
  [
    'a policy above the limits of the switch',
    `switch: { fdb: { maxEntries: 100 } }\n${one(`${vms}, port: { maxFrameSize: 1519, fdb: { maxEntries: 101 } }`)}`,
    'transports[0].port.maxFrameSize: 1519 is more than switch.maxFrameSize, which is 1518',
    'transports[0].port.fdb.maxEntries: 101 is more than switch.fdb.maxEntries, which is 100',
  ],
  [
    'more static addresses than the port may have',
    one(`${vms}, peers: one, port: { fdb: { maxEntries: 1, static: ["02:00:00:00:00:01", "02:00:00:00:00:02"] } }`),
    'transports[0].port.fdb.static: 2 addresses are more than the port may have, which is 1',
  ],
  [
    'the same name and the same path',
    `transports: [{ ${vms} }, { ${vms} }]`,
    'transports[1].listen: "/run/user/1000/tapswitch/vms.sock" is taken by transports[0].listen; every socket needs a path of its own',
    'transports[1].name: "vms" is taken by transports[0].name; names must differ',
  ],
  [
    'the same path, written differently',
    `runtimeDir: /run/t\ntransports: [{ ${vms} }, { name: b, type: unixgram, listen: /run/x/../t/vms.sock }]`,
    'transports[1].listen: "/run/t/vms.sock" is taken by transports[0].listen; every socket needs a path of its own',
  ],
  [
    'HTTP on the socket of a transport',
    `http: { listen: vms.sock }\n${one(vms)}`,
    'http.listen: "/run/user/1000/tapswitch/vms.sock" is taken by transports[0].listen; every socket needs a path of its own',
  ],
  [
    'a transport that connects to another of this switch',
    `runtimeDir: /run/t\ntransports: [{ ${vms} }, { name: b, type: unixgram, connect: { local: b.sock, remote: vms.sock } }]`,
    `transports[1].connect.remote: "/run/t/vms.sock" is this switch's own socket, transports[0].listen; that is a loop`,
  ],
  [
    'two transports that connect to one peer',
    'transports: [{ name: a, type: unixgram, connect: { local: a, remote: /x } }, { name: b, type: unixgram, connect: { local: b, remote: /x } }]',
    'transports[1].connect.remote: "/x" is taken by transports[0].connect.remote; two ports to one peer are a loop',
  ],
  [
    'paths that are too long',
    `transports: [{ name: a, type: unixgram, connect: { local: ${long}, remote: ${long}x } }]`,
    `transports[0].connect.local: "${long.slice(0, 59)}…" is 131 bytes, at most 107 allowed on this system`,
    `transports[0].connect.remote: "${long.slice(0, 59)}…" is 132 bytes, at most 107 allowed on this system`,
  ],
  [
    'a path that is too long in runtimeDir',
    `runtimeDir: /${'r'.repeat(60)}\n${one(`name: a, type: unixgram, listen: ${'s'.repeat(50)}`)}`,
    `transports[0].listen: "/${'r'.repeat(58)}…" is 112 bytes, at most 107 allowed on this system`,
  ],
  [
    'an address on two ports',
    'transports: [{ name: a, type: unixgram, listen: a, peers: one, port: { fdb: { static: ["02:00:00:00:00:0a"] } } }, { name: b, type: unixgram, listen: b, peers: one, port: { fdb: { static: ["02-00-00-00-00-0A"] } } }]',
    'transports[1].port.fdb.static[0]: "02:00:00:00:00:0a" is taken by transports[0].port.fdb.static[0]; an address belongs to one port',
  ],
  [
    'more transports than ports',
    `switch: { maxPorts: 2 }\ntransports: [${[1, 2, 3].map(n => `{ name: v${n}, type: unixgram, listen: v${n}, peers: one }`)}]`,
    'switch.maxPorts: 2 is less than the 3 ports that interfaces and transports have from the start',
  ],
  [
    'too many transports',
    `transports: [${Array.from({ length: 257 }, (_, n) => `{ name: v${n}, type: unixgram, listen: v${n} }`)}]`,
    'transports: 257 entries, at most 256 allowed',
  ],
  [
    'HTTP for everybody',
    'http: { listen: "0.0.0.0:80" }',
    'http.listen: "0.0.0.0:80" is not on loopback (127.0.0.1, [::1], localhost); that needs http.token, so that not everybody can control the switch',
  ],
  [
    'HTTP without a port',
    'http: { listen: localhost }',
    'http.listen: "localhost" is not host:port, nor the path of a unix socket (with a "/", or ending in ".sock")',
  ],
  [
    'HTTP on a port there is not',
    'http: { listen: "127.0.0.1:65536" }',
    'http.listen: "127.0.0.1:65536" is not host:port, nor the path of a unix socket (with a "/", or ending in ".sock")',
  ],
]

for (const [what, cases] of Object.entries({ syntax, options, transports, together })) {
  describe(`a configuration that is refused: ${what}`, () => {
    for (const [title, text, ...lines] of cases) it(title, () => assert.deepEqual(complaints(text), lines))
  })
}

it('reports everything that is wrong at once', () => {
  const text = 'switch: { maxPorts: 1, name: "" }\nhttp: 1\ntransports: [{ name: a, type: unixgram, listen: 3 }, 4]'
  assert.equal(complaints(text).length, 5)
})
