import { transportConformance } from './transport-suite.js'
import { udpHarness } from './udp-rig.js'

transportConformance('udp, one configured peer on each socket', udpHarness('single'))
transportConformance('udp, IPv6', udpHarness('configured', '::1'))
