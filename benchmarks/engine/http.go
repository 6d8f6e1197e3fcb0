package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"strconv"
	"strings"
)

// As much of an HTTP request as is looked at.
type httpRequest struct {
	method, path, target string
	body                 []byte
	closes               bool
}

type httpResponse struct {
	status  string
	headers string // complete lines
	body    []byte
}

// serve answers HTTP/1.1 on connections that are kept alive. net/http takes half as long again, and what the stub
// takes is missing to those who are measured.
func serve(listener net.Listener, answer func(httpRequest) httpResponse) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serveConnection(connection, answer)
	}
}

func serveConnection(connection net.Conn, answer func(httpRequest) httpResponse) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 1<<14)
	var sent []byte
	for {
		r, err := readHTTP(reader)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				log.Print(err)
			}
			return
		}
		response := answer(r)
		sent = append(sent[:0], "HTTP/1.1 "...)
		sent = append(sent, response.status...)
		sent = append(sent, "\r\nContent-Length: "...)
		sent = strconv.AppendInt(sent, int64(len(response.body)), 10)
		sent = append(sent, "\r\n"...)
		sent = append(sent, response.headers...)
		sent = append(append(sent, "\r\n"...), response.body...)
		if _, err := connection.Write(sent); err != nil || r.closes {
			return
		}
	}
}

var errNotHTTP = errors.New("a request that is not understood")

func readHTTP(reader *bufio.Reader) (httpRequest, error) {
	var r httpRequest
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return r, err
	}
	words := strings.Split(string(line), " ")
	if len(words) != 3 {
		return r, errNotHTTP
	}
	r.method, r.path = words[0], words[1]
	length := 0
	for {
		if line, err = reader.ReadSlice('\n'); err != nil {
			return r, err
		}
		name, value, isHeader := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if len(name) == 0 {
			break
		}
		value = bytes.TrimSpace(value)
		switch {
		case !isHeader:
			return r, errNotHTTP
		case isName(name, "content-length"):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return r, err
			}
		case isName(name, "x-amz-target"):
			r.target = string(value)
		case isName(name, "connection"):
			r.closes = strings.EqualFold(string(value), "close")
		case isName(name, "transfer-encoding"), isName(name, "expect"):
			return r, errNotHTTP
		}
	}
	r.body = make([]byte, length)
	_, err = io.ReadFull(reader, r.body)
	return r, err
}

func isName(name []byte, lower string) bool {
	return len(name) == len(lower) && strings.EqualFold(string(name), lower)
}
