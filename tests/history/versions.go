package main

import (
	"cmp"
	"fmt"
	"slices"
)

// unexplained says which answer of a playlist that was never deleted no order of its requests
// explains; nothing if one does.
//
// Such a playlist's versions number its states, so the version that an answer shows is the place of
// its request in every order. What is left to find is which writes of unknown outcome made the
// versions that no acknowledged one made. That is decided in no time also where there is no order,
// which a search through all orders of what was under way at once does not come to an end with.
func unexplained(events []Event) string {
	places := placesOf(events)
	possible := []prefix{{}}
	for version := int64(0); version <= places.newest; version++ {
		if version > 0 {
			possible = places.afterWrite(possible, version)
		}
		if len(possible) == 0 {
			return fmt.Sprintf("nobody can have made version %d", version)
		}
		for _, e := range places.shown[version] {
			if possible = afterAnswer(possible, e); len(possible) == 0 {
				return fmt.Sprintf("version %d cannot be what %s", version, told(e))
			}
		}
	}
	return ""
}

// places is the requests of a playlist by the versions that their answers show; 0 is before its creation.
type places struct {
	newest  int64
	writes  map[int64][]Event // Acknowledged.
	shown   map[int64][]Event // All others, in the order of their calls.
	unknown []Event           // Writes of unknown outcome: each may have made one version.
}

func placesOf(events []Event) places {
	p := places{writes: map[int64][]Event{}, shown: map[int64][]Event{}}
	for _, e := range events {
		switch {
		case e.Status == 503 || (e.Kind == "read" && unknownOutcome(e)):
		case unknownOutcome(e):
			p.unknown = append(p.unknown, e)
		case e.Seen == nil:
			p.shown[0] = append(p.shown[0], e)
		case acknowledged(e):
			p.newest = max(p.newest, e.Seen.Version)
			p.writes[e.Seen.Version] = append(p.writes[e.Seen.Version], e)
		default:
			p.newest = max(p.newest, e.Seen.Version)
			p.shown[e.Seen.Version] = append(p.shown[e.Seen.Version], e)
		}
	}
	for _, shown := range p.shown {
		slices.SortFunc(shown, func(a, b Event) int { return cmp.Compare(a.Call, b.Call) })
	}
	return p
}

// prefix is a beginning of an order.
type prefix struct {
	model
	called  int64  // When the last of its requests was called: none that follows can have returned before.
	unknown string // The writes of unknown outcome that it has, each as a character.
}

func (p prefix) followedBy(e Event, after model, returned int64) (prefix, bool) {
	p.model, p.called = after, max(p.called, e.Call)
	return p, p.called <= returned
}

func (p places) afterWrite(possible []prefix, version int64) []prefix {
	var next []prefix
	add := func(followed prefix, isInTime bool) {
		if isInTime {
			next = append(next, followed)
		}
	}
	for _, before := range possible {
		for _, e := range p.writes[version] {
			for _, m := range step(before.model, e) {
				add(before.followedBy(e, m, e.Return))
			}
		}
		if len(p.writes[version]) > 0 {
			continue
		}
		for number, e := range p.unknown {
			if holds(before.model, e) && !slices.Contains([]rune(before.unknown), rune(number)) {
				followed, isInTime := before.followedBy(e, written(before.model, e), e.Return+inFlight.Nanoseconds())
				followed.unknown += string(rune(number))
				add(followed, isInTime)
			}
		}
	}
	if len(p.writes[version]) > 1 {
		return nil
	}
	return next
}

func afterAnswer(possible []prefix, e Event) []prefix {
	var next []prefix
	for _, before := range possible {
		for _, m := range step(before.model, e) {
			if followed, isInTime := before.followedBy(e, m, e.Return); isInTime {
				next = append(next, followed)
			}
		}
	}
	return next
}

func told(e Event) string {
	code := ""
	if e.Code != "" {
		code = " " + e.Code
	}
	return fmt.Sprintf("a %s by client %d was told (status %d%s)", e.Kind, e.Client, e.Status, code)
}
