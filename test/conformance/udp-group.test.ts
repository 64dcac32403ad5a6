import { transportConformance } from './transport-suite.js'
import { udpHarness } from './udp-rig.js'

transportConformance('udp, a multicast group each', udpHarness('group'))
