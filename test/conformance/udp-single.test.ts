import { transportConformance } from './transport-suite.js'
import { tunnelHarness } from './tunnel-rig.js'

transportConformance('udp, one configured peer on each socket', tunnelHarness('single'))
transportConformance('udp, IPv6', tunnelHarness('configured', '::1'))
