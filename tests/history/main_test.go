package main

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func at(version int64, tag, name string) *State { return &State{version, tag, name, ""} }

func version(v int64) *int64 { return &v }

func TestStep(t *testing.T) {
	current := model{true, *at(3, "3-a", "Now")}
	unseen := model{true, *at(3, unknownTag, "Now")}
	cases := []struct {
		name   string
		before model
		event  Event
		after  int // how many states are possible; 0: the answer is false
	}{
		{"read of the state", current, Event{Kind: "read", Status: 200, Seen: at(3, "3-a", "Now")}, 1},
		{"read of an older state", current, Event{Kind: "read", Status: 200, Seen: at(2, "2-a", "Old")}, 0},
		{"read of another write at the version", current, Event{Kind: "read", Status: 200, Seen: at(3, "3-b", "Now")}, 0},
		{"read that reveals the tag", unseen, Event{Kind: "read", Status: 200, Seen: at(3, "3-b", "Now")}, 1},
		{"read of nothing", current, Event{Kind: "read", Status: 404}, 0},
		{"edit", current, Event{Kind: "edit", Name: "New", Status: 200, Seen: at(4, "4-a", "New")}, 1},
		{"edit that skips a version", current, Event{Kind: "edit", Name: "New", Status: 200, Seen: at(5, "5-a", "New")}, 0},
		{"edit over a stale version", current, Event{Kind: "edit", Name: "New", ExpectedVersion: version(2), Status: 200, Seen: at(4, "4-a", "New")}, 0},
		{"edit over a stale tag", current, Event{Kind: "edit", Name: "New", IfMatch: "3-b", Status: 200, Seen: at(4, "4-a", "New")}, 0},
		{"justified 412", current, Event{Kind: "edit", Name: "New", IfMatch: "2-a", Status: 412, Code: "precondition-failed", Seen: at(3, "3-a", "Now")}, 1},
		{"false 412", current, Event{Kind: "edit", Name: "New", IfMatch: "3-a", Status: 412, Code: "precondition-failed", Seen: at(3, "3-a", "Now")}, 0},
		{"false 409", current, Event{Kind: "edit", Name: "New", ExpectedVersion: version(3), Status: 409, Code: "version-conflict", Seen: at(3, "3-a", "Now")}, 0},
		{"unknown outcome", current, Event{Kind: "edit", Name: "New", Status: 504}, 2},
		{"unknown outcome that cannot have been applied", current, Event{Kind: "edit", Name: "New", IfMatch: "2-a", Status: 504}, 1},
		{"not applied", current, Event{Kind: "edit", Name: "New", Status: 503}, 1},
		{"deletion", current, Event{Kind: "delete", Status: 204}, 1},
		{"deletion over a stale tag", current, Event{Kind: "delete", IfMatch: "2-a", Status: 204}, 0},
		{"deletion that another overtook", model{}, Event{Kind: "delete", Status: 204}, 1},
		{"creation over a playlist", current, Event{Kind: "create", Name: "New", Status: 201, Seen: at(1, "1-a", "New")}, 0},
	}
	for _, c := range cases {
		if after := step(c.before, c.event); len(after) != c.after {
			t.Errorf("%s: %d states, want %d: %+v", c.name, len(after), c.after, after)
		}
	}
}

func TestRules(t *testing.T) {
	write := Event{Playlist: "p", Kind: "edit", Name: "A", Status: 200, Call: 1, Return: 2, Seen: at(5, "5-a", "A")}
	cases := map[string]Event{
		"one state to two writes": {Playlist: "p", Kind: "edit", Name: "B", Status: 200, Call: 1, Return: 2, Seen: at(5, "5-a", "A")},
		"never written":           {Playlist: "p", Kind: "read", Status: 200, Call: 1, Return: 2, Seen: at(5, "5-x", "X")},
		"own conflict":            {Playlist: "p", Kind: "edit", Name: "A", Status: 409, Call: 1, Return: 2, Seen: at(5, "5-a", "A")},
		"failed":                  {Playlist: "p", Kind: "edit", Name: "B", Status: 500, Call: 1, Return: 2},
		"conflict with nobody":    {Playlist: "p", Kind: "edit", Name: "B", Status: 409, Code: "edit-conflict", Call: 3, Return: 4, Seen: at(5, "5-a", "A")},
		"unknown read":            {Playlist: "p", Kind: "read", Status: 504, Call: 3, Return: 4},
		"version fell":            {Playlist: "p", Kind: "read", Status: 200, Call: 3, Return: 4, Seen: at(4, "4-a", "A")},
	}
	if broken := checkRules([]Event{write}); len(broken) != 0 {
		t.Error(broken)
	}
	for name, event := range cases {
		if broken := checkRules([]Event{write, event}); len(broken) != 1 {
			t.Errorf("%s: %v", name, broken)
		}
	}
}

// Each write of 60 is under way as long as all that come after it, and one more is of unknown outcome.
func crowded(unknown ...Event) []Event {
	history := []Event{{Playlist: "p", Kind: "create", Name: "0", Status: 201, Call: 0, Return: 1, Seen: at(1, "1-a", "0")}}
	for v := int64(2); v <= 61; v++ {
		name := fmt.Sprint(v)
		write := Event{Playlist: "p", Kind: "edit", Name: name, Status: 200, Call: 10 + v, Return: 1000 + v, Seen: at(v, name+"-a", name)}
		read := Event{Playlist: "p", Kind: "read", Status: 200, Call: 10, Return: 2000, Seen: write.Seen}
		if v != 30 {
			history = append(history, write)
		}
		history = append(history, read)
	}
	return append(history, unknown...)
}

func TestOrder(t *testing.T) {
	lost := Event{Playlist: "p", Kind: "edit", Name: "30", Status: 504, Call: 15, Return: 16}
	early := Event{Playlist: "p", Kind: "edit", Name: "x", Status: 504, Call: 2, Return: 3}
	stale := Event{Playlist: "p", Kind: "edit", Name: "30", ExpectedVersion: version(12), Status: 504, Call: 15, Return: 16}
	late := Event{Playlist: "p", Kind: "edit", Name: "30", Status: 504, Call: 3000, Return: 3001}
	over := Event{Playlist: "p", Kind: "edit", Name: "30", Status: 504, Call: 5 - inFlight.Nanoseconds(), Return: 8 - inFlight.Nanoseconds()}
	refused := Event{Playlist: "p", Kind: "edit", Name: "30", Status: 503, Call: 15, Return: 16}
	again := Event{Playlist: "p", Kind: "read", Status: 200, Call: 10, Return: 2000, Seen: at(62, "62-a", "30")}
	cases := []struct {
		name    string
		history []Event
		fault   string
	}{
		{"the lost write was made", crowded(lost), ""},
		{"one of two was made", crowded(early, lost), ""},
		{"nobody made what was seen", crowded(), "nobody can have made version 30"},
		{"its precondition did not hold", crowded(stale), "nobody can have made version 30"},
		{"it was sent after it was seen", crowded(late), "version 30 cannot be what a read by client 0 was told (status 200)"},
		{"it was on its way for too long", crowded(over), "nobody can have made version 30"},
		{"it was refused", crowded(refused), "nobody can have made version 30"},
		{"it was made twice", append(crowded(lost), again), "nobody can have made version 62"},
	}
	for _, c := range cases {
		if fault := unexplained(c.history); fault != c.fault {
			t.Errorf("%s: %q, want %q", c.name, fault, c.fault)
		}
	}
}

// Few requests, so that the search through all orders ends; some answers are changed, so that there may be none.
func randomHistory(chance *rand.Rand) []Event {
	current := model{true, State{1, "1-a", "0", ""}}
	history := []Event{{Kind: "create", Name: "0", Status: 201, Call: 0, Return: 1, Seen: at(1, "1-a", "0")}}
	older := []State{current.State}
	for point := int64(10); point < 90; point += 10 {
		e := Event{Kind: "edit", Name: fmt.Sprint(point), Call: point - chance.Int63n(25), Return: point + chance.Int63n(25)}
		based := older[chance.Intn(len(older))]
		switch chance.Intn(5) {
		case 0:
			e.Kind, e.Name = "read", ""
		case 1:
			e.IfMatch = based.Tag
		case 2:
			e.ExpectedVersion = &based.Version
		}
		e.Status, e.Code = 200, ""
		if e.Kind == "edit" {
			if holds(current, e) {
				current = written(current, e)
				current.Tag = fmt.Sprintf("%d-%s", current.Version, e.Name)
				older = append(older, current.State)
			} else {
				e.Status, e.Code = 412, "precondition-failed"
			}
		}
		seen := current.State
		e.Seen = &seen
		if chance.Intn(4) == 0 {
			e.Status, e.Seen = 504, nil
		}
		history = append(history, e)
	}
	for range chance.Intn(3) {
		switch e := &history[1+chance.Intn(len(history)-1)]; chance.Intn(4) {
		case 0:
			*e = Event{Kind: "read", Status: 503, Call: e.Call, Return: e.Return}
		case 1:
			e.Call, e.Return = e.Call+15, e.Return+15
		case 2:
			if e.Seen != nil {
				e.Seen = &older[chance.Intn(len(older))]
			}
		case 3:
			e.Return -= inFlight.Nanoseconds()
			e.Call = min(e.Call, e.Return)
		}
	}
	return history
}

func TestVersionsTellWhatASearchFinds(t *testing.T) {
	verdicts := map[porcupine.CheckResult]int{}
	for seed := range int64(20_000) {
		history := randomHistory(rand.New(rand.NewSource(seed)))
		found, fault := search(history, time.Minute), unexplained(history)
		verdicts[found]++
		if (found == porcupine.Ok) != (fault == "") {
			t.Fatalf("seed %d: %q, but the search says %s: %+v", seed, fault, found, history)
		}
	}
	if verdicts[porcupine.Ok] < 2_000 || verdicts[porcupine.Illegal] < 2_000 {
		t.Error("nearly all are of one kind:", verdicts)
	}
}
