// Checks a history of requests to the service, one JSON object a line on standard input.
//
// Each playlist's history has to be linearizable with regard to a sequential model that knows
// conflicts and unknown outcomes; cheap direct rules come first, because they name what is wrong.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Event is one request and its answer. Seen is what the answer shows of the playlist: the new
// state, or the current one of a conflict.
type Event struct {
	Playlist        string
	Client          int
	Kind            string // read, edit, create, delete
	Name            string // what the write sets; unique, so that it names the write
	Track           string
	IfMatch         string `json:"if_match"`
	ExpectedVersion *int64 `json:"expected_version"`
	Call            int64  // nanoseconds of one monotonic clock
	Return          int64
	Status          int // 0: the connection was lost
	Code            string
	Seen            *State
}

// State is a playlist as a client sees it.
type State struct {
	Version int64
	Tag     string // its entity-tag; unknownTag if no answer has shown it yet
	Name    string
	Track   string
}

// model is a playlist that may not exist.
type model struct {
	Exists bool
	State
}

const unknownTag = "?"

// How long a write may still be on its way once its sender has given up or is gone. The proxy holds
// none back for longer, so one that takes effect later was sent later, and is no honest unknown outcome.
const inFlight = 5 * time.Second

func unknownOutcome(e Event) bool { return e.Status == 504 || e.Status == 500 || e.Status == 0 }
func acknowledged(e Event) bool   { return e.Kind != "read" && (e.Status == 200 || e.Status == 201) }

// shows says whether the answer can be of this state, and the state with the tag that it reveals.
func shows(m model, seen *State) (model, bool) {
	if seen == nil {
		return m, !m.Exists
	}
	if !m.Exists || m.Version != seen.Version || m.Name != seen.Name || m.Track != seen.Track {
		return m, false
	}
	if m.Tag == unknownTag {
		m.Tag = seen.Tag
	}
	return m, m.Tag == seen.Tag
}

// holds says whether the preconditions hold. A tag that nobody has been shown cannot have been sent.
func holds(m model, e Event) bool {
	if e.Kind == "create" {
		return !m.Exists
	}
	return m.Exists && (e.IfMatch == "" || e.IfMatch == m.Tag) &&
		(e.ExpectedVersion == nil || *e.ExpectedVersion == m.Version)
}

// written is the state that the write makes, its tag unknown.
func written(m model, e Event) model {
	switch e.Kind {
	case "delete":
		return model{}
	case "create":
		return model{true, State{1, unknownTag, e.Name, e.Track}}
	}
	next := model{true, State{m.Version + 1, unknownTag, m.Name, m.Track}}
	if e.Name != "" {
		next.Name = e.Name
	}
	if e.Track != "" {
		next.Track = e.Track
	}
	return next
}

// step gives every state that the playlist can have after the request, none if the answer is false.
func step(m model, e Event) []model {
	stays := []model{m}
	switch {
	case e.Status == 503:
		return stays
	case unknownOutcome(e):
		if e.Kind == "read" || !holds(m, e) {
			return stays
		}
		return append(stays, written(m, e))
	case e.Status == 404:
		if m.Exists {
			return nil
		}
		return stays
	case e.Kind == "read":
		if refined, ok := shows(m, e.Seen); ok {
			return []model{refined}
		}
	case e.Status == 204:
		// Also where it is gone already: a lost deletion that another writer's overtook is success.
		if !m.Exists || holds(m, e) {
			return []model{{}}
		}
	case e.Status == 200 || e.Status == 201:
		if !holds(m, e) {
			return nil
		}
		if next, ok := shows(written(m, e), e.Seen); ok {
			return []model{next}
		}
	case e.Status == 409 || e.Status == 412:
		refined, ok := shows(m, e.Seen)
		if !ok || (e.Code != "edit-conflict" && holds(refined, e)) {
			return nil
		}
		return []model{refined}
	}
	return nil
}

// anyMeanwhile says whether one of the writes can have been applied while the request was served.
func anyMeanwhile(writes []Event, e Event) bool {
	for _, w := range writes {
		end := w.Return
		if unknownOutcome(w) {
			end += inFlight.Nanoseconds()
		}
		if w.Call < e.Return && end > e.Call {
			return true
		}
	}
	return false
}

func checkRules(events []Event) []string {
	var broken []string
	names := map[string]bool{"": true}
	tags := map[string]Event{}
	deleted := map[string]bool{}
	for _, e := range events {
		if e.Kind == "delete" {
			deleted[e.Playlist] = true
		}
		if e.Kind != "read" && (acknowledged(e) || unknownOutcome(e)) {
			names[e.Name], names[e.Track] = true, true
		}
	}
	writes := map[string][]Event{}
	for _, e := range events {
		if e.Kind != "read" && (acknowledged(e) || e.Status == 204 || unknownOutcome(e)) {
			writes[e.Playlist] = append(writes[e.Playlist], e)
		}
	}
	newest := map[string]Event{}
	for _, e := range events {
		if e.Status == 504 && e.Kind == "read" {
			broken = append(broken, "a read of unknown outcome")
		}
		if e.Code == "edit-conflict" && !anyMeanwhile(writes[e.Playlist], e) {
			broken = append(broken, fmt.Sprintf("%q is in conflict with nobody", e.Name))
		}
		if e.Status == 500 {
			broken = append(broken, fmt.Sprintf("the service failed at a %s", e.Kind))
		}
		if acknowledged(e) {
			key := e.Playlist + " " + e.Seen.Tag
			if other, twice := tags[key]; twice {
				broken = append(broken, fmt.Sprintf("one state acknowledged to two writes: %q and %q", other.Name, e.Name))
			}
			tags[key] = e
		}
		if e.Seen != nil && (!names[e.Seen.Name] || !names[e.Seen.Track]) {
			broken = append(broken, fmt.Sprintf("seen but never written: %+v", *e.Seen))
		}
		if (e.Status == 409 || e.Status == 412) && e.Seen != nil {
			if (e.Name != "" && e.Seen.Name == e.Name) || (e.Track != "" && e.Seen.Track == e.Track) {
				broken = append(broken, fmt.Sprintf("conflict with the caller's own write %q", e.Name))
			}
		}
		if e.Seen != nil && !deleted[e.Playlist] {
			if before, ok := newest[e.Playlist]; ok && before.Return < e.Call && before.Seen.Version > e.Seen.Version {
				broken = append(broken, fmt.Sprintf("version %d seen after version %d", e.Seen.Version, before.Seen.Version))
			}
			if before, ok := newest[e.Playlist]; !ok || e.Seen.Version >= before.Seen.Version {
				newest[e.Playlist] = e
			}
		}
	}
	return broken
}

// checkOrder says what keeps the requests to one playlist from having taken effect in some order, each
// between its call and its return; nothing if that can be.
func checkOrder(events []Event, timeout time.Duration) string {
	if !slices.ContainsFunc(events, func(e Event) bool { return e.Kind == "delete" }) {
		return unexplained(events)
	}
	switch search(events, timeout) {
	case porcupine.Illegal:
		return "no order explains the answers"
	case porcupine.Unknown:
		return fmt.Sprintf("not decided in %s, as it can be where no order explains the answers", timeout)
	}
	return ""
}

// search looks for such an order among all that there are.
func search(events []Event, timeout time.Duration) porcupine.CheckResult {
	definition := porcupine.NondeterministicModel{
		Init: func() []interface{} { return []interface{}{model{}} },
		Step: func(state, input, _ interface{}) []interface{} {
			var next []interface{}
			for _, m := range step(state.(model), input.(Event)) {
				next = append(next, m)
			}
			return next
		},
	}
	var operations []porcupine.Operation
	for _, e := range events {
		returned := e.Return
		if unknownOutcome(e) {
			returned += inFlight.Nanoseconds()
		}
		operations = append(operations, porcupine.Operation{ClientId: e.Client, Input: e, Call: e.Call, Return: returned})
	}
	return porcupine.CheckOperationsTimeout(definition.ToModel(), operations, timeout)
}

func main() {
	timeout := 60 * time.Second
	var events []Event
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Println("not a history:", err)
			os.Exit(2)
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		fmt.Println("not a history: it is empty")
		os.Exit(2)
	}
	broken := checkRules(events)
	playlists := map[string][]Event{}
	for _, e := range events {
		playlists[e.Playlist] = append(playlists[e.Playlist], e)
	}
	for playlist, events := range playlists {
		if fault := checkOrder(events, timeout); fault != "" {
			broken = append(broken, fmt.Sprintf("%s, %d requests: %s", playlist, len(events), fault))
		}
	}
	for _, line := range broken[:min(len(broken), 20)] {
		fmt.Println("broken:", line)
	}
	fmt.Printf("%d requests on %d playlists, %d broken\n", len(events), len(playlists), len(broken))
	if len(broken) > 0 {
		os.Exit(1)
	}
}
