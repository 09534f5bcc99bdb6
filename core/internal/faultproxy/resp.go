package faultproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// pushType begins a RESP3 push: a message that answers no request.
const pushType = '>'

// attributeType begins a RESP3 attribute, which precedes the value it is about.
const attributeType = '|'

// maxBulk is Redis's own limit (proto-max-bulk-len), against a length that was
// misread.
const maxBulk = 512 << 20

// readFrame reads one request or reply, as it is on the wire. What does not
// begin with a type of RESP2 or RESP3 is a line: an inline command.
// See https://redis.io/docs/latest/develop/reference/protocol-spec/.
func readFrame(in *bufio.Reader) ([]byte, error) {
	var frame bytes.Buffer
	// Values still to be read: aggregates add theirs.
	for todo := 1; todo > 0; todo-- {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		frame.Write(line)
		switch kind := line[0]; kind {
		case '$', '=', '!': // bulk string, verbatim string, bulk error
			n, err := length(line)
			if err != nil {
				return nil, err
			}
			if n < 0 { // RESP2's null
				continue
			}
			// Not allocated at once: the length may be wrong.
			if _, err := io.CopyN(&frame, in, int64(n+len("\r\n"))); err != nil {
				return nil, err
			}
		case '*', '~', pushType, '%', attributeType:
			n, err := length(line)
			if err != nil {
				return nil, err
			}
			switch kind {
			case '%':
				n *= 2
			case attributeType:
				n = 2*n + 1
			}
			todo += max(0, n)
		}
	}
	return frame.Bytes(), nil
}

// length is the number in the first line of a value that has one.
func length(line []byte) (int, error) {
	n, err := strconv.Atoi(string(bytes.TrimRight(line[1:], "\r\n")))
	if err != nil || n > maxBulk {
		return 0, fmt.Errorf("faultproxy: length %q", line)
	}
	return n, nil
}
