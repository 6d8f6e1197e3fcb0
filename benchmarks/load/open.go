package main

import (
	"encoding/json"
	"math/rand"
	"os"
	"slices"
	"time"
)

// The service closes a connection that has rested for five seconds: one that is about to be closed is not used again.
const longestRest = 4 * time.Second

// What became of a request. Its status is 0 where there was no answer.
type ended struct {
	client  *client
	status  int
	latency time.Duration
}

// offer is an open loop: requests come at random times, `o.rate` a second on average, whatever became of those before,
// and latency counts from then. The connections are made as they are needed; with all of them in use, requests wait.
func offer(o options) error {
	if err := awaitGo(); err != nil {
		return err
	}
	dice := rand.New(rand.NewSource(7))
	results := make(chan ended, o.connections)
	var idle []*client
	for number := o.connections - 1; number >= 0; number-- {
		idle = append(idle, newClient(o, number))
	}
	defer func() {
		for _, c := range idle {
			c.disconnect()
		}
	}()
	var waiting, late []time.Duration
	var outcomes []ended
	sent, underWay := 0, 0
	began := time.Now()
	send := func(arrival time.Duration) {
		c := idle[len(idle)-1]
		idle = idle[:len(idle)-1]
		// Of all requests, and not of those of each client, every fifth renames.
		c.asked = sent
		sent++
		underWay++
		go func() {
			status := c.statusOfNext()
			results <- ended{c, status, time.Since(began) - arrival}
		}()
	}
	take := func(one ended) {
		outcomes = append(outcomes, one)
		underWay--
		// The one that was used last goes first, so that there are no more connections than needed.
		idle = append(idle, one.client)
		if len(waiting) > 0 {
			send(waiting[0])
			waiting = waiting[1:]
		}
	}
	timer := time.NewTimer(0)
	var arrival time.Duration
	for {
		arrival += time.Duration(dice.ExpFloat64() / o.rate * float64(time.Second))
		if arrival > o.duration {
			break
		}
		timer.Reset(arrival - time.Since(began))
		for due := false; !due; {
			select {
			case one := <-results:
				take(one)
			case <-timer.C:
				due = true
			}
		}
		late = append(late, time.Since(began)-arrival)
		if len(idle) > 0 {
			send(arrival)
		} else {
			waiting = append(waiting, arrival)
		}
	}
	for end := time.After(2 * o.patience); underWay > 0; {
		select {
		case one := <-results:
			take(one)
			continue
		case <-end:
		}
		break
	}
	return report(o, outcomes, underWay+len(waiting), late)
}

// report prints what became of the requests; `lost` are those that are still without an answer.
func report(o options, outcomes []ended, lost int, late []time.Duration) error {
	var latencies []time.Duration
	inTime, refused := 0, 0
	for _, one := range outcomes {
		switch one.status {
		case expected[o.kind]:
			latencies = append(latencies, one.latency)
			if one.latency <= o.patience {
				inTime++
			}
		case 503:
			refused++
		default:
			lost++
		}
	}
	slices.Sort(latencies)
	slices.Sort(late)
	told := map[string]any{
		"requests": len(latencies) + refused + lost,
		"in_time":  inTime,
		"refused":  refused,
		"lost":     lost,
		"late_ms":  percentile(late, 99), // of the generator itself
		"answered": len(latencies),
		"p50_ms":   percentile(latencies, 50),
		"p99_ms":   percentile(latencies, 99),
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

// statusOfNext is the status of the answer to the next request, 0 if there was none.
func (c *client) statusOfNext() int {
	if c.connection == nil || time.Since(c.usedAt) > longestRest {
		c.disconnect()
		if err := c.connect(); err != nil {
			return 0
		}
	}
	answer, err := c.ask()
	c.usedAt = time.Now()
	if err != nil || answer.closes {
		c.disconnect()
	}
	if err != nil {
		return 0
	}
	return answer.status
}
