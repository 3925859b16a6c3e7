"""What opens a socket: OSC over UDP and TCP, HTTP, WebSocket, zeroconf, MIDI."""
