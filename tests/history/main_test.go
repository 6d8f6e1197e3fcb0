package main

import "testing"

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
