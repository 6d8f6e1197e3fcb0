// A stub of DynamoDB for measuring what stands before it: as much of its JSON protocol as playlists need, from memory.
//
// It judges conditions as DynamoDB does, and refuses what it does not know. Beside the protocol it takes
// `PUT /seed` (see seed.go), which replaces all that is in the table, and tells by `GET /writes` how many writes it
// has applied since.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"log"
	"net"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
)

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonParameters.html, as far as it is used.
type request struct {
	tableName     string
	key, item     item
	update        string
	returnValues  string
	capacityTotal bool
	write         write
}

type server struct {
	table    table
	requests atomic.Int64
}

func main() {
	address := flag.String("address", "", "host:port to serve HTTP on")
	secure := flag.String("tls-address", "", "host:port to serve HTTPS on")
	authority := flag.String("ca", "", "file to write the certificate to that HTTPS is to be verified with")
	flag.Parse()
	// More would not wait for work, but look for it.
	runtime.GOMAXPROCS(1)
	s := &server{}
	s.table.sow(seed{})
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	if *secure != "" {
		secured, err := listenTLS(*secure, *authority)
		if err != nil {
			log.Fatal(err)
		}
		go serve(secured, s.answer)
	}
	serve(listener, s.answer)
}

func (s *server) answer(r httpRequest) httpResponse {
	switch r.method + " " + r.path {
	case "POST /":
		return s.answerDynamoDB(r)
	case "PUT /seed":
		var sown seed
		if err := json.Unmarshal(r.body, &sown); err != nil {
			return httpResponse{status: "400 Bad Request", body: []byte(err.Error())}
		}
		s.table.sow(sown.withTracks())
		return httpResponse{status: "200 OK"}
	case "GET /writes":
		return httpResponse{status: "200 OK", body: strconv.AppendInt(nil, int64(s.table.writesApplied()), 10)}
	}
	return httpResponse{status: "404 Not Found"}
}

func (s *server) answerDynamoDB(r httpRequest) httpResponse {
	status := "200 OK"
	answer, err := s.answerTo(strings.TrimPrefix(r.target, "DynamoDB_20120810."), r.body)
	if err != nil {
		status, answer = "400 Bad Request", errorAnswer(err)
	}
	// The id is as long as DynamoDB's.
	headers := fmt.Sprintf("Content-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: %052d\r\nx-amz-crc32: %d\r\n",
		s.requests.Add(1), crc32.ChecksumIEEE(answer))
	return httpResponse{status, headers, answer}
}

func (s *server) answerTo(operation string, body []byte) ([]byte, error) {
	r, err := readRequest(body)
	if err != nil {
		return nil, err
	}
	k, err := readKey(r)
	if err != nil {
		return nil, err
	}
	switch operation {
	case "GetItem":
		found := s.table.get(k)
		answer := make([]byte, 0, 512+sizeOf(found))
		answer = append(answer, '{')
		if found != nil {
			answer = append(found.appendJSON(append(answer, `"Item":`...)), ',')
		}
		return r.completed(answer, 4_096, sizeOf(found)), nil
	case "PutItem":
		err := s.table.put(k, r.item, r.write)
		return r.completed([]byte("{"), 1_024, sizeOf(r.item)), err
	case "DeleteItem":
		err := s.table.delete(k, r.write)
		return r.completed([]byte("{"), 1_024, 0), err
	case "UpdateItem":
		return s.update(k, r)
	}
	return nil, invalid("%s is not known here", operation)
}

var addition = regexp.MustCompile(`^ADD (#?\w+) (:\w+)$`)

func (s *server) update(k key, r request) ([]byte, error) {
	form := addition.FindStringSubmatch(r.update)
	if form == nil || (r.returnValues != "" && r.returnValues != "NONE" && r.returnValues != "UPDATED_NEW") {
		return nil, invalid("Invalid UpdateExpression: only the addition of one number is known here")
	}
	name, number := form[1], item(r.write.values).get(form[2])
	if strings.HasPrefix(name, "#") {
		name = r.write.names[name]
	}
	if name == "" || number == nil {
		return nil, invalid("Invalid UpdateExpression: a name or value that is not given")
	}
	sum, err := s.table.add(k, name, number, r.write)
	if err != nil {
		return nil, err
	}
	answer := []byte("{")
	if r.returnValues == "UPDATED_NEW" {
		answer = append(item{{name, sum}}.appendJSON(append(answer, `"Attributes":`...)), ',')
	}
	return r.completed(answer, 1_024, 0), nil
}

// completed ends an answer with what it has consumed, about: by the length of the JSON.
func (r request) completed(answer []byte, unit, size int) []byte {
	if r.capacityTotal {
		units := max((size+unit-1)/unit, 1)
		consumed := `"ConsumedCapacity":{"TableName":"` + r.tableName + `","CapacityUnits":` + strconv.Itoa(units) + ".0}"
		return append(append(answer, consumed...), '}')
	}
	if last := len(answer) - 1; answer[last] == ',' {
		answer = answer[:last]
	}
	return append(answer, '}')
}

func readRequest(body []byte) (request, error) {
	var r request
	parameters, err := members(body)
	if err != nil {
		return r, invalid("%v", err)
	}
	for _, parameter := range parameters {
		switch parameter.name {
		case "TableName":
			err = json.Unmarshal(parameter.value, &r.tableName)
		case "Key":
			r.key, err = members(parameter.value)
		case "Item":
			r.item, err = members(parameter.value)
		case "ConditionExpression":
			err = json.Unmarshal(parameter.value, &r.write.condition)
		case "ExpressionAttributeNames":
			err = json.Unmarshal(parameter.value, &r.write.names)
		case "ExpressionAttributeValues":
			r.write.values, err = members(parameter.value)
		case "ReturnValuesOnConditionCheckFailure":
			r.write.allOld = string(parameter.value) == `"ALL_OLD"`
		case "UpdateExpression":
			err = json.Unmarshal(parameter.value, &r.update)
		case "ReturnValues":
			err = json.Unmarshal(parameter.value, &r.returnValues)
		case "ReturnConsumedCapacity":
			r.capacityTotal = string(parameter.value) == `"TOTAL"`
		case "ConsistentRead":
		default:
			err = fmt.Errorf("%s is not known here", parameter.name)
		}
		if err != nil {
			return r, invalid("%v", err)
		}
	}
	return r, nil
}

// readKey finds the key in a request; PutItem has it in its item.
func readKey(r request) (key, error) {
	attributes := r.key
	if attributes == nil {
		attributes = r.item
	}
	partition, err := readScalar(attributes.get("partition_key"))
	if err != nil || partition.kind != "S" {
		return key{}, invalid("no partition_key")
	}
	sort, err := readScalar(attributes.get("sort_key"))
	if err != nil || sort.kind != "S" {
		return key{}, invalid("no sort_key")
	}
	return key{partition.text, sort.text}, nil
}

func errorAnswer(err error) []byte {
	var refused *refusal
	if !errors.As(err, &refused) {
		refused = &refusal{code: "com.amazonaws.dynamodb.v20120810#InternalServerError", message: err.Error()}
	}
	message, err := json.Marshal(refused.message)
	if err != nil {
		panic(err) // A string can always be written.
	}
	answer := make([]byte, 0, 512+sizeOf(refused.item))
	answer = fmt.Appendf(answer, `{"__type":"%s","message":%s`, refused.code, message)
	if refused.item != nil {
		answer = refused.item.appendJSON(append(answer, `,"Item":`...))
	}
	return append(answer, '}')
}

func sizeOf(i item) int {
	size := 0
	for _, attribute := range i {
		size += len(attribute.name) + len(attribute.value) + 4
	}
	return size
}
