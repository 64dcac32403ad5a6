import { transportConformance } from './transport-suite.js'
import { webSocketHarness } from './websocket-rig.js'

transportConformance('WebSocket on a listener of its own', webSocketHarness('own'))
