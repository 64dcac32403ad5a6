import { transportConformance } from './transport-suite.js'
import { webSocketHarness } from './websocket-rig.js'

transportConformance('WebSocket on the HTTP server', webSocketHarness('http'))
