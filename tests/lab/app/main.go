// The service that the lab deploys: HTTP on :8080, replaced on SIGHUP without losing a connection, and able to
// misbehave in the ways that a release can.
//
// A file "switches" in its working directory (lines of NAME=VALUE) makes it misbehave:
//
//	SLOW_START=5s      ready only after a while
//	FAIL_START=1       ends with an error instead of becoming ready
//	FAIL_HEALTH=1      /healthz answers 503
//	FAIL_IF=/srv/bad   /healthz answers 503 while there is such a file
//	CRASH_AFTER=3s     ends with an error after a while
//	HANG_ON_RELOAD=1   SIGHUP does nothing
//	SLOW_DRAIN=3s      does nothing for a while before it drains
//	LEAK_DAEMON=1      leaves a process of its own session behind
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var version = "unset" // -ldflags "-X main.version=…"

const (
	address         = ":8080"
	firstFd         = 3 // systemd's protocol and os/exec agree
	inheritedEnv    = "API_INHERITED"
	reloadPatience  = 20 * time.Second
	drainPatience   = 20 * time.Second
	barrierPatience = 10 * time.Second
)

type switches map[string]string

func readSwitches(path string) switches {
	found := switches{}
	file, err := os.Open(path)
	if err != nil {
		return found
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if ok && !strings.HasPrefix(name, "#") {
			found[name] = value
		}
	}
	return found
}

func (s switches) duration(name string) time.Duration {
	length, _ := time.ParseDuration(s[name])
	return length
}

// notifyWith tells systemd something, with file descriptors for it (sd_notify(3)); without a socket to tell it to, nothing.
func notifyWith(text string, fds ...int) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	return syscall.Sendmsg(socket, []byte(text), syscall.UnixRights(fds...), &syscall.SockaddrUnix{Name: path}, 0)
}

func notify(lines ...string) {
	if err := notifyWith(strings.Join(lines, "\n")); err != nil {
		log.Printf("notify: %v", err)
	}
}

// notifyBarrier returns once systemd has taken in all that was said before, as sd_notify_barrier(3) does: systemd closes the pipe that
// is sent along. What a process says that has ended before it is read counts for nothing.
func notifyBarrier() error {
	closed, held, err := os.Pipe()
	if err != nil {
		return err
	}
	defer closed.Close()
	err = notifyWith("BARRIER=1", int(held.Fd()))
	held.Close()
	if err != nil {
		return err
	}
	closed.SetReadDeadline(time.Now().Add(barrierPatience))
	if _, err := closed.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("no answer to BARRIER=1: %w", err)
	}
	return nil
}

// listen takes the listener that the process before this one hands over, or systemd's, or makes its own.
func listen() (net.Listener, error) {
	activated := os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) && os.Getenv("LISTEN_FDS") == "1"
	if os.Getenv(inheritedEnv) == "" && !activated {
		return net.Listen("tcp", address)
	}
	file := os.NewFile(firstFd, "listener")
	defer file.Close()
	return net.FileListener(file)
}

// instanceID asks the metadata service as any service on EC2 would; off AWS it is the host's name.
func instanceID() string {
	client := http.Client{Timeout: 500 * time.Millisecond}
	ask := func(method, path, header, value string) (string, error) {
		request, _ := http.NewRequest(method, "http://169.254.169.254/latest/"+path, nil)
		request.Header.Set(header, value)
		answer, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(io.LimitReader(answer.Body, 1024))
		if answer.StatusCode != http.StatusOK {
			return "", errors.New(answer.Status)
		}
		return string(body), err
	}
	token, err := ask("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	if err == nil {
		if id, err := ask("GET", "meta-data/instance-id", "X-aws-ec2-metadata-token", token); err == nil {
			return id
		}
	}
	name, _ := os.Hostname()
	return name
}

type service struct {
	switches switches
	instance string
	listener *net.TCPListener
	server   *http.Server
	draining atomic.Bool
}

func (s *service) exists(path string) bool {
	_, err := os.Stat(path)
	return path != "" && err == nil
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Version", version)
	w.Header().Set("X-Instance", s.instance)
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	switch {
	case r.URL.Path == "/healthz" && (s.switches["FAIL_HEALTH"] != "" || s.exists(s.switches["FAIL_IF"])):
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
	case r.URL.Path == "/slow":
		length, _ := time.ParseDuration(r.URL.Query().Get("for"))
		time.Sleep(length)
		fmt.Fprintln(w, "at last")
	default:
		fmt.Fprintf(w, "api %s on %s\n", version, s.instance)
	}
}

// startSuccessor runs what lies at current by now, with our listener, waits until it says that it serves, and returns its process id.
// It is no child of ours, since systemd supervises only what is its own: setsid(1) starts it and ends.
func (s *service) startSuccessor() (int, error) {
	listener, err := s.listener.File()
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	said, say, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer said.Close()
	command := exec.Command("setsid", "--fork", os.Args[0])
	command.Dir = filepath.Dir(filepath.Dir(os.Args[0]))
	command.Env = append(os.Environ(), inheritedEnv+"=1")
	command.ExtraFiles = []*os.File{listener, say}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	err = command.Run()
	say.Close()
	if err != nil {
		return 0, err
	}
	said.SetReadDeadline(time.Now().Add(reloadPatience))
	var pid int
	if _, err := fmt.Fscanln(said, &pid); err != nil {
		return 0, fmt.Errorf("the new process did not become ready: %w", err)
	}
	return pid, nil
}

// reload returns true once a successor serves and systemd knows it. By then nobody else takes connections: who has waited for the
// reload, and looks at what serves, must not find us.
func (s *service) reload() bool {
	if s.switches["HANG_ON_RELOAD"] != "" {
		log.Print("reload: hanging, as told")
		return false
	}
	notify("RELOADING=1")
	successor, err := s.startSuccessor()
	if err != nil {
		log.Printf("reload: %v; still serving %s", err, version)
		notify("READY=1", "STATUS=serving "+version+", a reload failed")
		return false
	}
	s.listener.Close()
	notify(fmt.Sprintf("MAINPID=%d", successor), "READY=1")
	if err := notifyBarrier(); err != nil {
		log.Print(err)
	}
	return true
}

// drain answers what has been accepted, and nothing else.
func (s *service) drain() {
	s.draining.Store(true)
	time.Sleep(s.switches.duration("SLOW_DRAIN"))
	end, cancel := context.WithTimeout(context.Background(), drainPatience)
	defer cancel()
	if err := s.server.Shutdown(end); err != nil && !errors.Is(err, net.ErrClosed) {
		log.Printf("drain: %v", err)
	}
}

func (s *service) misbehave() {
	if after := s.switches.duration("CRASH_AFTER"); after > 0 {
		time.AfterFunc(after, func() { log.Fatal("crashing, as told") })
	}
	if s.switches["LEAK_DAEMON"] != "" {
		daemon := exec.Command("/bin/sleep", "86400")
		daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := daemon.Start(); err != nil {
			log.Print(err)
		}
	}
}

// ready tells whoever has started us: systemd, or a predecessor, which tells systemd. One that has given up on us has closed
// the pipe.
func (s *service) ready() error {
	if os.Getenv(inheritedEnv) == "" {
		notify("READY=1", "STATUS=serving "+version)
	} else {
		predecessor := os.NewFile(firstFd+1, "predecessor")
		defer predecessor.Close()
		if _, err := fmt.Fprintln(predecessor, os.Getpid()); err != nil {
			return err
		}
	}
	log.Printf("version %s serves on %s", version, s.instance)
	return nil
}

func serve() error {
	s := &service{switches: readSwitches("switches"), instance: instanceID()}
	listener, err := listen()
	if err != nil {
		return err
	}
	s.listener = listener.(*net.TCPListener)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	time.Sleep(s.switches.duration("SLOW_START"))
	if s.switches["FAIL_START"] != "" {
		return errors.New("failing to start, as told")
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go s.server.Serve(s.listener)
	if err := s.ready(); err != nil {
		s.drain()
		return err
	}
	s.misbehave()
	for received := range signals {
		if received != syscall.SIGHUP || s.reload() {
			break
		}
	}
	s.drain()
	return nil
}

// validate asks the service that runs on this machine for its version, which must be ours.
func validate() error {
	answer, err := http.Get("http://127.0.0.1" + address + "/")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if serves := answer.Header.Get("X-Version"); serves != version {
		return fmt.Errorf("version %s serves, not %s", serves, version)
	}
	return nil
}

func main() {
	log.SetFlags(0)
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "validate" {
		run = validate
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
