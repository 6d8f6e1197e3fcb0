package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// A member of a JSON object, its value as it was sent.
type member struct {
	name  string
	value []byte
}

var errMalformed = errors.New("malformed JSON")

// members splits a JSON object, and looks into its values no further than to find their ends.
func members(object []byte) ([]member, error) {
	at := skipSpace(object, 0)
	if at == len(object) || object[at] != '{' {
		return nil, errMalformed
	}
	var found []member
	for at = skipSpace(object, at+1); at < len(object) && object[at] == '"'; {
		end, err := valueEnd(object, at)
		if err != nil {
			return nil, err
		}
		name, err := unquote(object[at:end])
		if err != nil {
			return nil, err
		}
		if at = skipSpace(object, end); at == len(object) || object[at] != ':' {
			return nil, errMalformed
		}
		start := skipSpace(object, at+1)
		if end, err = valueEnd(object, start); err != nil {
			return nil, err
		}
		found = append(found, member{name, object[start:end]})
		if at = skipSpace(object, end); at < len(object) && object[at] == ',' {
			at = skipSpace(object, at+1)
		}
	}
	if at != len(object)-1 || object[at] != '}' {
		return nil, errMalformed
	}
	return found, nil
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

// valueEnd is where the value that starts at an index ends.
func valueEnd(text []byte, at int) (int, error) {
	depth := 0
	for at < len(text) {
		switch text[at] {
		case '"':
			end, err := stringEnd(text, at)
			if err != nil {
				return 0, err
			}
			at = end
		case '{', '[':
			depth++
			at++
		case '}', ']':
			depth--
			at++
		case ',', ':', ' ', '\n', '\t', '\r':
			at++
			continue
		default:
			for at < len(text) && strings.IndexByte(",:]} \n\t\r", text[at]) < 0 {
				at++
			}
		}
		if depth == 0 {
			return at, nil
		}
		if depth < 0 {
			return 0, errMalformed
		}
	}
	return 0, errMalformed
}

func stringEnd(text []byte, at int) (int, error) {
	for at++; ; at++ {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return 0, errMalformed
		}
		at += quote
		escapes := 0
		for text[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1, nil
		}
	}
}

func unquote(text []byte) (string, error) {
	if len(text) > 1 && text[0] == '"' && bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1]), nil
	}
	var unquoted string
	err := json.Unmarshal(text, &unquoted)
	return unquoted, err
}
