package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A seed is so many playlists of so many tracks, under the tokens Prefix + 0, Prefix + 1 and so on. They take no
// memory until they are written, so that a million of them can be read at random.
type seed struct {
	Prefix    string
	Playlists int
	Tracks    int
	// Whether the items have the attributes that only the service writes: its window of recent writes, owner and times.
	Service bool

	trackTokens []byte
}

const (
	seededVersion = 100
	windowSize    = 16
)

// withTracks is the seed with its list of tracks, which all its playlists share.
func (s seed) withTracks() seed {
	var list strings.Builder
	list.WriteString(`{"L":[`)
	for track := range s.Tracks {
		if track > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, `{"S":"ALBUM_%d/TRACK_%d"}`, track/12, track)
	}
	list.WriteString(`]}`)
	s.trackTokens = []byte(list.String())
	return s
}

// item is the playlist as it was before anybody wrote it; nil if the seed has none of that key.
func (s seed) item(k key) item {
	digits, isSeeded := strings.CutPrefix(k.partition, s.Prefix)
	number, err := strconv.Atoi(digits)
	if s.Prefix == "" || !isSeeded || err != nil || number < 0 || number >= s.Playlists || k.sort != "INFO_" {
		return nil
	}
	return s.version(k, seededVersion)
}

// version is the item after so many writes by one program.
func (s seed) version(k key, version int) item {
	made := item{
		{"partition_key", textValue(k.partition)},
		{"sort_key", textValue(k.sort)},
		{"playlist_name", textValue(fmt.Sprintf("Name of version %d", version))},
		{"playlist_version", []byte(fmt.Sprintf(`{"N":"%d"}`, version))},
		{"track_tokens", s.trackTokens},
	}
	if !s.Service {
		return made
	}
	window := []byte(`{"L":[`)
	for write := version; write > version-windowSize; write-- {
		if write < version {
			window = append(window, ',')
		}
		window = fmt.Appendf(window, `{"S":"write-%010d"}`, write)
	}
	return append(made,
		member{"recent_writes", append(window, `]}`...)},
		member{"playlist_owner", textValue("anonymous")},
		member{"created_at", textValue("2026-01-01T00:00:00.000Z")},
		member{"updated_at", textValue("2026-01-02T00:00:00.000Z")},
	)
}
