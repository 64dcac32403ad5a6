import { streamHarness } from './stream-rig.js'
import { transportConformance } from './transport-suite.js'

transportConformance('stream, TCP, many', streamHarness('many', 'tcp4'))
transportConformance('stream, TCP over IPv6, one', streamHarness('one', 'tcp6'))
transportConformance('stream, TCP, connect', streamHarness('connect', 'tcp4'))
