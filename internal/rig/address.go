package rig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

const (
	firstPort = 10_000
	// ephemeral is where most systems' range of ephemeral ports begins.
	ephemeral = 32_768
)

// FreeAddress returns a loopback address, as in 127.0.0.1:12345, that no program listens
// on. Its port is below the range from which the system takes ports for connections. A
// client that dials a port of that range while no program listens there may get the same
// port for its own end, and so connect to itself.
func FreeAddress() (string, error) {
	first := ephemeral
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil { // Linux
		var last int
		if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
			return "", err
		}
	}
	if first <= firstPort {
		first = ephemeral
	}
	var errs error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(first-firstPort))
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, ln.Close()
		}
		errs = errors.Join(errs, err)
	}
	return "", fmt.Errorf("no port between %d and %d is free: %w", firstPort, first, errs)
}
