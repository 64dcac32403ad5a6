import { fdHarness } from './fd-rig.js'
import { transportConformance } from './transport-suite.js'

transportConformance('fd, stream', fdHarness('stream'))
transportConformance('fd, stream, hyperkit framing', fdHarness('stream', 'hyperkit'))
transportConformance('fd, datagram', fdHarness('datagram'))
transportConformance('fd, UDP', fdHarness('udp'))
