// A closed loop of clients: each waits for its answer before it sends the next request, on a connection of its own.
//
// Two connections never ask for one playlist, so that nothing conflicts but what is meant to. What is sent
// during the warm-up is not counted: after it, with nothing under way, the line `warm` is printed, and a line awaited
// on standard input. At the end, with nothing under way again, one JSON object is printed. An answer of another status
// than the case is to get ends the run with exit code 1.
//
// With `-rate` it is an open loop instead (open.go), which has no warm-up and counts other answers.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

type options struct {
	address     string
	kind        string
	prefix      string
	playlists   int
	connections int
	random      bool
	warmup      time.Duration
	duration    time.Duration
	requests    int // of all connections; 0 for as many as there is time for
	first       int // number of the first name
	rate        float64
	patience    time.Duration
}

// The status that each case is to get. Of `mixed`, every fifth request renames and the others read.
var expected = map[string]int{"get": 200, "get-304": 304, "rename": 200, "conflict": 409, "append": 200, "mixed": 200}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.address, "address", "127.0.0.1:8080", "host:port of the service")
	flag.StringVar(&o.kind, "case", "get", "get, get-304, rename, conflict, append or mixed")
	flag.StringVar(&o.prefix, "prefix", "PLAYLIST_", "what the playlists' tokens begin with, before their number")
	flag.IntVar(&o.playlists, "playlists", 64, "how many playlists there are")
	flag.IntVar(&o.connections, "connections", 16, "how many clients there are")
	flag.BoolVar(&o.random, "random", false, "take the playlists at random, and not in turn")
	flag.DurationVar(&o.warmup, "warmup", time.Second, "time before it is measured")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "time that is measured")
	flag.IntVar(&o.requests, "requests", 0, "end after so many requests, whatever time they take, without a warm-up")
	flag.IntVar(&o.first, "first", 0, "number of the first name")
	flag.Float64Var(&o.rate, "rate", 0, "send so many requests a second, whether or not those before were answered")
	flag.DurationVar(&o.patience, "patience", time.Second, "with -rate: after this time, an answer is too late")
	flag.Parse()
	// More would not wait for work, but look for it.
	runtime.GOMAXPROCS(1)
	if expected[o.kind] == 0 || o.connections < 1 || o.playlists < o.connections {
		log.Fatal("load: an unknown case, or fewer playlists than connections")
	}
	measured := run
	if o.rate > 0 {
		measured = offer
		if o.kind == "get-304" {
			log.Fatal("load: no entity-tags are read for an open loop")
		}
	}
	if err := measured(o); err != nil {
		log.Fatal("load: ", err)
	}
}

func run(o options) error {
	clients := make([]*client, o.connections)
	for number := range clients {
		c := newClient(o, number)
		if err := c.connect(); err != nil {
			return err
		}
		defer c.disconnect()
		if o.kind == "get-304" {
			if err := c.readETags(); err != nil {
				return err
			}
		}
		clients[number] = c
	}
	sent := 0
	if o.requests == 0 {
		if err := together(clients, func(c *client) error { return c.repeat(time.Now().Add(o.warmup), 0) }); err != nil {
			return err
		}
		for _, c := range clients {
			sent += len(c.latencies)
			c.latencies = make([]time.Duration, 0, 1<<16)
		}
	}
	if err := awaitGo(); err != nil {
		return err
	}
	began := time.Now()
	share := o.requests / o.connections
	if err := together(clients, func(c *client) error { return c.repeat(began.Add(o.duration), share) }); err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	var latencies []time.Duration
	for _, c := range clients {
		latencies = append(latencies, c.latencies...)
	}
	if len(latencies) == 0 {
		return errors.New("no request was answered in time")
	}
	slices.Sort(latencies)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests": len(latencies),
		"sent":     sent + len(latencies), // the warm-up too
		"seconds":  seconds,
		"rate":     float64(len(latencies)) / seconds,
		"p50_ms":   percentile(latencies, 50),
		"p90_ms":   percentile(latencies, 90),
		"p99_ms":   percentile(latencies, 99),
		"statuses": map[int]int{expected[o.kind]: len(latencies)},
	})
}

// awaitGo says that what comes next is measured, and waits until it may.
func awaitGo() error {
	fmt.Println("warm")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

// percentile is in milliseconds; 0 of none.
func percentile(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100].Seconds() * 1_000
}

// together runs a function for all clients at once; it returns the first error of any.
func together(clients []*client, do func(*client) error) error {
	var running sync.WaitGroup
	failures := make([]error, len(clients))
	for number, c := range clients {
		running.Add(1)
		go func() {
			defer running.Done()
			failures[number] = do(c)
		}()
	}
	running.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

type client struct {
	options
	number     int
	connection net.Conn
	reader     *bufio.Reader
	dice       *rand.Rand
	etags      map[int]string
	request    []byte
	asked      int
	latencies  []time.Duration
	usedAt     time.Time // by the open loop
}

func newClient(o options, number int) *client {
	return &client{options: o, number: number, dice: rand.New(rand.NewSource(int64(number)))}
}

func (c *client) connect() error {
	connection, err := net.Dial("tcp", c.address)
	if err != nil {
		return err
	}
	c.connection, c.reader = connection, bufio.NewReaderSize(connection, 1<<16)
	return nil
}

func (c *client) disconnect() {
	if c.connection != nil {
		c.connection.Close()
		c.connection = nil
	}
}

func (c *client) readETags() error {
	c.etags = map[int]string{}
	for playlist := c.number; playlist < c.playlists; playlist += c.connections {
		c.start("GET", playlist, "")
		answer, err := c.send(nil)
		if err != nil {
			return err
		}
		if answer.status != 200 || answer.etag == "" {
			return fmt.Errorf("%d and ETag %q to a GET", answer.status, answer.etag)
		}
		c.etags[playlist] = answer.etag
	}
	return nil
}

// repeat sends requests until the time is over, or so many if that is not 0.
func (c *client) repeat(end time.Time, requests int) error {
	for count := 0; ; count++ {
		began := time.Now()
		if requests == 0 && !began.Before(end) || requests != 0 && count == requests {
			return nil
		}
		answer, err := c.ask()
		if err != nil {
			return err
		}
		if answer.status != expected[c.kind] {
			return fmt.Errorf("%s was answered %d, and not %d: %.300s", c.kind, answer.status, expected[c.kind], answer.body)
		}
		c.latencies = append(c.latencies, time.Since(began))
	}
}

// ask sends the next request of the case.
func (c *client) ask() (answer, error) {
	share := (c.playlists - c.number + c.connections - 1) / c.connections
	position := c.asked % share
	if c.random {
		position = c.dice.Intn(share)
	}
	playlist := c.number + position*c.connections
	// No two requests of a run set the same name, or there would be nothing to write.
	name := c.first + c.asked*c.connections + c.number
	c.asked++
	kind := c.kind
	if kind == "mixed" {
		kind = "get"
		if c.asked%5 == 0 {
			kind = "rename"
		}
	}
	switch kind {
	case "get":
		c.start("GET", playlist, "")
	case "get-304":
		c.start("GET", playlist, "")
		c.request = fmt.Appendf(c.request, "If-None-Match: %s\r\n", c.etags[playlist])
	case "rename", "conflict":
		c.start("PATCH", playlist, "")
		return c.send(fmt.Appendf(nil, `{"playlist_name":"Road Trip %d"}`, name))
	case "append":
		c.start("POST", playlist, "/tracks")
		return c.send([]byte(`{"track_tokens":["ALBUM_1/TRACK_1"]}`))
	}
	return c.send(nil)
}

func (c *client) start(method string, playlist int, below string) {
	c.request = fmt.Appendf(c.request[:0], "%s /playlists/%s%d%s HTTP/1.1\r\nHost: %s\r\n", method, c.prefix, playlist, below, c.address)
}

type answer struct {
	status int
	etag   string
	closes bool
	body   []byte // as far as it is looked at: where the status is no success
}

// send ends the request that was started, and reads the answer.
func (c *client) send(body []byte) (answer, error) {
	if body != nil {
		c.request = fmt.Appendf(c.request, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	c.request = append(append(c.request, "\r\n"...), body...)
	if _, err := c.connection.Write(c.request); err != nil {
		return answer{}, err
	}
	return c.receive()
}

func (c *client) receive() (answer, error) {
	var a answer
	line, err := c.line()
	if err != nil {
		return a, err
	}
	if len(line) < 12 {
		return a, fmt.Errorf("not HTTP: %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, err
	}
	length, chunked := 0, false
	for {
		if line, err = c.line(); err != nil {
			return a, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case isName(name, "content-length"):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return a, err
			}
		case isName(name, "transfer-encoding"):
			chunked = true
		case isName(name, "etag"):
			a.etag = string(value)
		case isName(name, "connection"):
			a.closes = strings.EqualFold(string(value), "close")
		}
	}
	if a.status == 304 {
		return a, nil
	}
	if !chunked {
		return a, c.body(&a, length)
	}
	for {
		if line, err = c.line(); err != nil {
			return a, err
		}
		length, err := strconv.ParseInt(string(line), 16, 64)
		if err != nil {
			return a, err
		}
		if err := c.body(&a, int(length)); err != nil {
			return a, err
		}
		if _, err := c.line(); err != nil || length == 0 {
			return a, err
		}
	}
}

// body reads so much of the body.
func (c *client) body(a *answer, length int) error {
	if a.status < 300 || a.status == expected[c.kind] {
		_, err := c.reader.Discard(length)
		return err
	}
	part := make([]byte, length)
	_, err := io.ReadFull(c.reader, part)
	a.body = append(a.body, part...)
	return err
}

// line is valid until the next one is read.
func (c *client) line() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

func isName(name []byte, lower string) bool {
	return len(name) == len(lower) && strings.EqualFold(string(name), lower)
}
