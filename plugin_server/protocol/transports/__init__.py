"""The transports, which open sockets: OSC over UDP and TCP, HTTP, WebSocket, zeroconf, MIDI."""
