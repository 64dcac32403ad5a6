import { transportConformance } from './transport-suite.js'
import { udpHarness } from './udp-rig.js'

transportConformance('udp, peers learned', udpHarness('learned'))
transportConformance('udp, peers configured', udpHarness('configured'))
