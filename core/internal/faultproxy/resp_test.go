package faultproxy

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestReadFrameEndsWhereTheValueEnds(t *testing.T) {
	for name, frame := range map[string]string{
		"simple string":     "+OK\r\n",
		"error":             "-ERR no\r\n",
		"integer":           ":42\r\n",
		"bulk string":       "$5\r\nhe\r\no\r\n",
		"empty bulk string": "$0\r\n\r\n",
		"null bulk string":  "$-1\r\n",
		"null array":        "*-1\r\n",
		"empty array":       "*0\r\n",
		"request":           "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
		"nested array":      "*2\r\n*2\r\n:1\r\n$1\r\na\r\n+x\r\n",
		"RESP3 null":        "_\r\n",
		"double":            ",1.5\r\n",
		"boolean":           "#t\r\n",
		"verbatim string":   "=6\r\ntxt:ab\r\n",
		"bulk error":        "!3\r\nERR\r\n",
		"map":               "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
		"set":               "~2\r\n:1\r\n:2\r\n",
		"push":              ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
		"attribute":         "|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n",
		"inline command":    "PING\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			const next = "+NEXT\r\n"
			in := bufio.NewReader(strings.NewReader(frame + next))
			got, err := readFrame(in)
			if err != nil || string(got) != frame {
				t.Fatalf("readFrame = %q, %v; want %q", got, err, frame)
			}
			if got, err := readFrame(in); err != nil || string(got) != next {
				t.Fatalf("then %q, %v; want %q", got, err, next)
			}
			if _, err := readFrame(bufio.NewReader(strings.NewReader(frame[:len(frame)-1]))); err == nil {
				t.Error("a value cut short is no error")
			}
		})
	}
}

func TestReadFrameRefusesWhatHasNoLength(t *testing.T) {
	for _, text := range []string{"$x\r\n", "*\r\n", "$999999999999\r\n", "%1e3\r\n"} {
		if got, err := readFrame(bufio.NewReader(strings.NewReader(text))); err == nil || err == io.EOF {
			t.Errorf("readFrame(%q) = %q, %v; want an error about its length", text, got, err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n+OK\r\n"))
	f.Add([]byte("|1\r\n+ttl\r\n:3600\r\n%1\r\n+a\r\n_\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		// The frames of a stream are the stream: nothing is added or lost.
		in := bufio.NewReader(bytes.NewReader(stream))
		rest := stream
		for {
			frame, err := readFrame(in)
			if err != nil {
				return
			}
			if len(frame) == 0 || !bytes.HasPrefix(rest, frame) {
				t.Fatalf("frame %q is not what comes next in %q", frame, rest)
			}
			rest = rest[len(frame):]
		}
	})
}
