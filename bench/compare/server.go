package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// programs holds the paths of the binaries that a comparison starts.
type programs struct{ tidings, floor, rivals, nginx string }

// A server is a contender that runs on this machine.
type server struct {
	url  string
	pid  int // of the process that serves: nginx's worker, not its master
	cmd  *exec.Cmd
	log  bytes.Buffer
	temp string
}

// start starts a contender by its name, without any events, and waits until it
// listens.
func (p *programs) start(name string) (*server, error) {
	temp, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	addr, err := rig.FreeAddress()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temp))
	}
	s := &server{url: "http://" + addr, temp: temp}
	name, overTLS := strings.CutSuffix(name, " over TLS")
	var cert []string
	if overTLS {
		s.url = "https://" + addr
		if cert, err = writeCertificate(temp); err != nil {
			return nil, errors.Join(err, os.RemoveAll(temp))
		}
	}
	_, port, _ := strings.Cut(addr, ":")
	switch name {
	case "tidings":
		s.cmd = exec.Command(p.tidings, "serve", "--listen", addr, "--data", filepath.Join(temp, "data"), "--drain", "0s")
		if overTLS {
			s.cmd.Args = append(s.cmd.Args, "--tls-cert", cert[0], "--tls-key", cert[1])
		}
	case "floor":
		s.cmd = exec.Command(p.floor, port)
	case "floor in rounds":
		s.cmd = exec.Command(p.floor, port, "rounds")
	case "floor by topic":
		s.cmd = exec.Command(p.floor, port, "topics")
	case "nchan":
		s.cmd, err = p.nchan(addr, temp)
	default:
		s.cmd = exec.Command(p.rivals, append([]string{name, addr}, cert...)...)
	}
	if err == nil {
		s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temp))
	}
	s.pid = s.cmd.Process.Pid
	if err := s.ready(addr); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", name, err, &s.log), s.stop())
	}
	if name == "nchan" {
		if s.pid, err = child(s.pid); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

func (s *server) ready(addr string) error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// stop ends the server and removes what it kept.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return errors.Join(fmt.Errorf("the server ended by itself: %w\n%s", err, &s.log), os.RemoveAll(s.temp))
	}
	kill := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() }) // an error: it has ended
	defer kill.Stop()
	_ = s.cmd.Wait() // the error is the signal
	return os.RemoveAll(s.temp)
}

// child returns a process's only child: nginx's worker.
func child(pid int) (int, error) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return 0, err
		}
		if words := strings.Fields(string(text)); len(words) > 0 {
			return strconv.Atoi(words[0])
		}
		if time.Now().After(end) {
			return 0, fmt.Errorf("process %d has no worker", pid)
		}
	}
}

const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so" // Debian's libnginx-mod-nchan

// nchanConfig starts one worker, because the other contenders are one process. It
// buffers enough events that slow streams lose none.
const nchanConfig = `
load_module %[3]s;
daemon off;
pid %[1]s/nginx.pid;
error_log stderr;
%[4]s
worker_processes 1;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
http {
	access_log off;
	keepalive_requests 100000000;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	nchan_max_reserved_memory 512M;
	server {
		listen %[2]s;
		location ~ /events/(.+)$ {
			nchan_subscriber eventsource;
			nchan_publisher http;
			nchan_channel_id $1;
			nchan_subscriber_first_message newest;
			nchan_message_buffer_length 100000;
			nchan_message_timeout 1m;
		}
	}
}
`

func (p *programs) nchan(addr, dir string) (*exec.Cmd, error) {
	if _, err := os.Stat(nchanModule); err != nil || p.nginx == "" {
		return nil, fmt.Errorf("nginx with Nchan is not installed: apt-get install nginx libnginx-mod-nchan: %w", exec.ErrNotFound)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // no other user may enter the directory
	}
	config := filepath.Join(dir, "nginx.conf")
	err := os.WriteFile(config, fmt.Appendf(nil, nchanConfig, dir, addr, nchanModule, user), 0o600)
	return exec.Command(p.nginx, "-p", dir, "-e", "stderr", "-c", config), err
}
