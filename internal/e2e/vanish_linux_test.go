package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The hub notices a peer that vanished without a FIN, because its machine died or
// its cable was cut, within the heartbeat plus the write timeout, whether the hub had
// little to send to it or much. TCP alone would take a quarter of an hour.
func TestVanishedPeerIsNoticed(t *testing.T) {
	t.Parallel()
	far := newFarMachine(t)
	h := &hub{t: t, addr: net.JoinHostPort(far.near, fmt.Sprint(freePort(t)))}
	h.start("--no-auth", "--heartbeat", "1s", "--write-timeout", "1s")
	const each = 20
	for range each {
		far.subscribe(h, "quiet")
		far.subscribe(h, "busy")
	}
	streams := h.socketsTo(far.addr)
	if len(streams) != 2*each {
		t.Fatalf("the hub has %d sockets to the far machine, want %d", len(streams), 2*each)
	}
	far.unplug()
	for range 8 { // more than the sockets' buffers hold
		h.publish("busy", strings.Repeat("x", 1<<19))
	}
	eventually(t, "the hub to close the sockets to the far machine", func() (bool, string) {
		n := h.holds(streams)
		return n == 0, fmt.Sprintf("%d of %d sockets", n, len(streams))
	})
}

// TestVanishedPeerIsNoticedWhileCatchingUp cuts the cable of streams that search a long
// history in which nothing matches. The hub notices when it sends their heartbeats. A
// stream whose peer is still there goes on searching the same history.
func TestVanishedPeerIsNoticedWhileCatchingUp(t *testing.T) {
	t.Parallel()
	far := newFarMachine(t)
	h := &hub{t: t, addr: net.JoinHostPort(far.near, fmt.Sprint(freePort(t)))}
	h.start("--no-auth", "--heartbeat", "1s", "--write-timeout", "1s")
	line := `{"topic":"history` + strings.Repeat("/x7", 300) + `","data":"x"}` + "\n"
	for range 60 {
		status, answer := h.request("POST", "/events", "", "application/x-ndjson", strings.Repeat(line, 1000))
		if status != http.StatusOK {
			t.Fatalf("a batch: %d %.200s", status, answer)
		}
	}
	slow := func(i int) string { // templates that almost match the topics
		q := url.Values{"last_event_id": {"earliest"}}
		for j := range 99 {
			q.Add("topic", fmt.Sprintf("{+a}7{+b}x{+c}7{+d}z%d/%d{e}", i, j))
		}
		return "never?" + q.Encode()
	}
	const streams = 3
	for i := range streams {
		far.subscribe(h, slow(i))
	}
	conn, err := net.DialTimeout("tcp", h.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	subscribeOn(t, conn, h, slow(streams))
	sockets := h.socketsTo(far.addr)
	if n := h.streamStats().CatchingUp; len(sockets) != streams || n != streams+1 {
		t.Fatalf("the hub has %d sockets to the far machine and %d streams that catch up; want %d and %d", len(sockets), n, streams, streams+1)
	}
	far.unplug()
	eventually(t, "the hub to close the sockets to the far machine", func() (bool, string) {
		n := h.holds(sockets)
		return n == 0, fmt.Sprintf("%d of %d sockets", n, len(sockets))
	})
	if n := h.streamStats().CatchingUp; n != 1 {
		t.Errorf("%d streams catch up; want 1, whose peer is still there", n)
	}
}

// socketsTo returns the sockets connected to an IPv4 address in the hub's network
// namespace, by the names that the links in /proc/PID/fd have.
func (h *hub) socketsTo(addr string) map[string]bool {
	h.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", h.cmd.Process.Pid))
	if err != nil {
		h.t.Fatal(err)
	}
	ip := net.ParseIP(addr).To4()
	remote := fmt.Sprintf("%02X%02X%02X%02X:", ip[3], ip[2], ip[1], ip[0])
	found := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		// sl local_address rem_address st queues tr tm->when retrnsmt uid timeout inode …
		if words := strings.Fields(line); strings.HasPrefix(words[2], remote) {
			found["socket:["+words[9]+"]"] = true
		}
	}
	return found
}

// holds counts how many of the sockets the hub's process has open.
func (h *hub) holds(sockets map[string]bool) (n int) {
	h.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", h.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && sockets[name] { // err: closed meanwhile
			n++
		}
	}
	return n
}

// A farMachine is a network namespace, connected to this one by a pair of veth devices.
type farMachine struct {
	t          *testing.T
	name       string
	near, addr string // the addresses of this end and of the far end
}

func newFarMachine(t *testing.T) *farMachine {
	t.Helper()
	ip := require(t, "iproute2", "ip", "/usr/sbin/ip")
	n := rand.IntN(63)
	far := &farMachine{t: t, name: fmt.Sprintf("tidings%d", rand.IntN(1e6))}
	far.near, far.addr = fmt.Sprintf("198.51.100.%d", 4*n+1), fmt.Sprintf("198.51.100.%d", 4*n+2) // RFC 5737
	if out, err := exec.Command(ip, "netns", "add", far.name).CombinedOutput(); err != nil {
		t.Skipf("a network cannot be made here (%v %s), so a peer that vanishes is not tested; run this as root", err, out)
	}
	t.Cleanup(func() { _ = exec.Command(ip, "netns", "delete", far.name).Run() }) // this deletes the cable, too
	for _, args := range []string{
		"link add " + far.name + " type veth peer name far netns " + far.name,
		"address add " + far.near + "/30 dev " + far.name,
		"link set " + far.name + " up",
		"-n " + far.name + " address add " + far.addr + "/30 dev far",
		"-n " + far.name + " link set far up",
	} {
		if out, err := exec.Command(ip, strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v %s", args, err, out)
		}
	}
	return far
}

// unplug cuts the cable: no packet reaches or leaves the far machine any more.
func (far *farMachine) unplug() {
	if out, err := exec.Command("ip", "-n", far.name, "link", "set", "far", "down").CombinedOutput(); err != nil {
		far.t.Fatalf("%v %s", err, out)
	}
}

// subscribe opens a stream from the far machine.
func (far *farMachine) subscribe(h *hub, topic string) {
	far.t.Helper()
	conn, err := far.dial(h.addr)
	if err != nil {
		far.t.Fatal(err)
	}
	far.t.Cleanup(func() { _ = conn.Close() })
	subscribeOn(far.t, conn, h, topic)
}

// dial connects from the far machine. A socket belongs to the network namespace of
// the thread that creates it.
func (far *farMachine) dial(addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	dialled := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		conn, err := func() (net.Conn, error) {
			ns, err := os.Open("/run/netns/" + far.name)
			if err != nil {
				return nil, err
			}
			defer func() { _ = ns.Close() }()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, err
			}
			return net.DialTimeout("tcp", addr, patience)
		}()
		dialled <- result{conn, err}
	}()
	r := <-dialled
	return r.conn, r.err
}
