package locktest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range that systems give to outgoing
// connections (32768 and up on Linux, 49152 elsewhere, RFC 6335). Port 0 would
// ask for one of that range, and with it a server that is killed could not
// always restart: a client that keeps dialling it may be given its port, and
// would even be connected to itself.
const (
	firstPort    = 12_000
	lastPort     = 32_000
	portAttempts = 100
)

// freePort returns a port of 127.0.0.1 that nobody listened on just now.
func freePort() (int, error) {
	var err error
	for range portAttempts {
		port := firstPort + rand.IntN(lastPort-firstPort)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port: %w", err)
}

// pickPorts chooses the ports of a server that does not run yet.
func (r *Redis) pickPorts() (err error) {
	if r.port, err = freePort(); err != nil {
		return err
	}
	r.ports = []string{"--port", strconv.Itoa(r.port)}
	if !r.bus {
		return nil
	}
	// The default, ten thousand more than the port, may be taken.
	bus, err := freePort()
	r.busPort = bus
	r.ports = append(r.ports, "--cluster-port", strconv.Itoa(bus))
	return err
}
