package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// An item is its attributes, in the order in which they were written.
type item []member

func (i item) get(name string) []byte {
	for _, attribute := range i {
		if attribute.name == name {
			return attribute.value
		}
	}
	return nil
}

// replaced is a copy with another value, appended where there was none.
func (i item) replaced(name string, value []byte) item {
	copied := append(item(nil), i...)
	for at := range copied {
		if copied[at].name == name {
			copied[at].value = value
			return copied
		}
	}
	return append(copied, member{name, value})
}

func (i item) appendJSON(text []byte) []byte {
	text = append(text, '{')
	for at, attribute := range i {
		if at > 0 {
			text = append(text, ',')
		}
		// Where Go's escapes differ from JSON's are control characters, which no program puts into a name.
		text = strconv.AppendQuote(text, attribute.name)
		text = append(text, ':')
		text = append(text, attribute.value...)
	}
	return append(text, '}')
}

// A scalar is an attribute value of type S or N.
type scalar struct{ kind, text string }

func readScalar(value []byte) (scalar, error) {
	typed, err := members(value)
	if err != nil || len(typed) != 1 || (typed[0].name != "S" && typed[0].name != "N") {
		return scalar{}, invalid("only values of type S and N are known here")
	}
	text, err := unquote(typed[0].value)
	return scalar{typed[0].name, text}, err
}

func (s scalar) equals(other scalar) bool {
	if s.kind == "N" && other.kind == "N" {
		a, known := new(big.Rat).SetString(s.text)
		b, alsoKnown := new(big.Rat).SetString(other.text)
		return known && alsoKnown && a.Cmp(b) == 0
	}
	return s == other
}

type key struct{ partition, sort string }

// A refusal is an answer with status 400. Item is set where a condition has met one that was asked for.
type refusal struct {
	code, message string
	item          item
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func invalid(format string, values ...any) error {
	return &refusal{code: "com.amazon.coral.validate#ValidationException", message: fmt.Sprintf(format, values...)}
}

// What a write asks for.
type write struct {
	condition string
	names     map[string]string
	values    []member
	allOld    bool
}

// table holds what was written, and before it seeds: playlists that are made of their tokens when they are read.
type table struct {
	mutex   sync.Mutex
	seed    seed
	written map[key]item // nil where it was deleted
	applied int
}

func (t *table) sow(s seed) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.seed, t.written, t.applied = s, map[key]item{}, 0
}

func (t *table) writesApplied() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.applied
}

func (t *table) get(k key) item {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.find(k)
}

func (t *table) put(k key, new item, w write) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if isContended(k) && strings.Contains(w.condition, "playlist_version = ") {
		if err := t.letRivalWrite(k); err != nil {
			return err
		}
	}
	return t.apply(k, w, func() { t.written[k] = new })
}

func (t *table) delete(k key, w write) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.apply(k, w, func() { t.written[k] = nil })
}

// add is `ADD attribute number`; it returns the sum.
func (t *table) add(k key, name string, number []byte, w write) ([]byte, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	sum := new(big.Int)
	old := t.find(k)
	for _, value := range [][]byte{old.get(name), number} {
		if value == nil {
			continue
		}
		addend, err := readScalar(value)
		if err != nil {
			return nil, err
		}
		whole, isWhole := new(big.Int).SetString(addend.text, 10)
		if addend.kind != "N" || !isWhole {
			return nil, invalid("An operand in the update expression has an incorrect data type")
		}
		sum.Add(sum, whole)
	}
	if old == nil {
		old = item{{"partition_key", textValue(k.partition)}, {"sort_key", textValue(k.sort)}}
	}
	value := []byte(`{"N":"` + sum.String() + `"}`)
	return value, t.apply(k, w, func() { t.written[k] = old.replaced(name, value) })
}

func (t *table) find(k key) item {
	if found, isWritten := t.written[k]; isWritten {
		return found
	}
	return t.seed.item(k)
}

func (t *table) apply(k key, w write, change func()) error {
	old := t.find(k)
	holds, err := w.holdsFor(old)
	if err != nil {
		return err
	}
	if !holds {
		failed := &refusal{
			code:    "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
			message: "The conditional request failed",
		}
		if w.allOld {
			failed.item = old
		}
		return failed
	}
	change()
	t.applied++
	return nil
}

const contended = "CONTENDED_"

// isContended is whether somebody else writes a playlist whenever a client has read it and is about to write it.
func isContended(k key) bool { return strings.HasPrefix(k.partition, contended) }

// letRivalWrite makes the rename that another process of the same program would have made.
func (t *table) letRivalWrite(k key) error {
	old := t.find(k)
	if old == nil {
		return nil
	}
	read, err := readScalar(old.get("playlist_version"))
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(read.text)
	if err != nil {
		return invalid("a version that is no number")
	}
	t.written[k] = t.seed.version(k, version+1).replaced("track_tokens", old.get("track_tokens"))
	return nil
}

var (
	absence    = regexp.MustCompile(`^attribute_not_exists\(([#\w]+)(\[0\])?\)$`)
	comparison = regexp.MustCompile(`^([#\w]+)(\[0\])? = (:\w+)$`)
)

// holdsFor judges a condition expression of the forms that playlists are written with.
func (w write) holdsFor(old item) (bool, error) {
	if w.condition == "" {
		return true, nil
	}
	for _, term := range strings.Split(w.condition, " AND ") {
		holds, err := w.termHoldsFor(old, term)
		if !holds || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (w write) termHoldsFor(old item, term string) (bool, error) {
	if form := absence.FindStringSubmatch(term); form != nil {
		value, err := w.operand(old, form[1], form[2] != "")
		return value == nil, err
	}
	form := comparison.FindStringSubmatch(term)
	if form == nil {
		return false, invalid("Invalid ConditionExpression: %s is not known here", term)
	}
	value, err := w.operand(old, form[1], form[2] != "")
	if value == nil || err != nil {
		return false, err
	}
	expected := item(w.values).get(form[3])
	if expected == nil {
		return false, invalid("Invalid ConditionExpression: no value for %s", form[3])
	}
	a, err := readScalar(value)
	if err != nil {
		return false, err
	}
	b, err := readScalar(expected)
	return a.equals(b), err
}

// operand is an attribute, or the first element of a list; nil where there is none.
func (w write) operand(old item, name string, first bool) ([]byte, error) {
	if strings.HasPrefix(name, "#") {
		if name = w.names[name]; name == "" {
			return nil, invalid("Invalid ConditionExpression: a name that is not given")
		}
	}
	value := old.get(name)
	if value == nil || !first {
		return value, nil
	}
	var typed struct{ L []json.RawMessage }
	if err := json.Unmarshal(value, &typed); err != nil || len(typed.L) == 0 {
		return nil, nil
	}
	return typed.L[0], nil
}

func textValue(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // A string can always be written.
	}
	return append(append([]byte(`{"S":`), quoted...), '}')
}
