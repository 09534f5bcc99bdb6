package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What Jaeger answers to each question, as far as it matters.
const (
	waitsAnswer = `{"data":[{"traceID":"b2","spans":[
		{"traceID":"b2","spanID":"1","operationName":"PUT /prices/{item}","duration":141500},
		{"traceID":"b2","spanID":"2","operationName":"acquire PUT /prices/{item}","duration":93100,
		 "references":[{"refType":"CHILD_OF","traceID":"b2","spanID":"1"},{"refType":"FOLLOWS_FROM","traceID":"a1","spanID":"9"}],
		 "tags":[{"key":"dlock.contended","value":true},{"key":"dlock.blocked_by.trace_id","value":"a1"}]}]}]}`
	holderAnswer = `{"data":[{"traceID":"a1","spans":[{"traceID":"a1","spanID":"8","operationName":"hold POST /orders/{item}"}]}]}`
	newerAnswer  = `{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[{"links":[{"attributes":[{"key":"dlock.blocked_by.roles"}]}]}]}]}]}}`
)

// answering is a query API with those answers, but for what replace changes.
func answering(t *testing.T, replace ...string) *check {
	t.Helper()
	edit := strings.NewReplacer(replace...)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := waitsAnswer
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/v3/traces/b2"):
			answer = newerAnswer
		case r.URL.Path == "/api/traces/a1":
			answer = holderAnswer
		case r.URL.Path != "/api/traces" || r.URL.Query().Get("service") != "office":
			http.NotFound(w, r)
			return
		case r.URL.Query().Has("tags") && r.URL.Query().Get("tags") != `{"dlock.blocked_by.trace_id":"a1"}`:
			answer = `{"data":[]}`
		}
		_, _ = w.Write([]byte(edit.Replace(answer)))
	}))
	t.Cleanup(s.Close)
	return &check{query: s.URL}
}

func TestAWaitThatCanBeReadIsToldLineByLine(t *testing.T) {
	c := answering(t)
	findings, err := c.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(findings, "\n"); n != 6 || !strings.Contains(findings, "93.1ms") {
		t.Errorf("findings:\n%s", findings)
	}
	var kept []answer
	if err := json.Unmarshal(c.answers(), &kept); err != nil || len(kept) != 4 {
		t.Errorf("%d answers are kept, %v", len(kept), err)
	}
}

func TestWhatIsMissingFailsTheCheck(t *testing.T) {
	for name, replace := range map[string][]string{
		"the bar":                 {"acquire PUT", "acquire POST"},
		"its length":              {"93100", "0"},
		"contention":              {"true", "false"},
		"the tag":                 {`"value":"a1"`, `"value":"b2"`},
		"the reference":           {"FOLLOWS_FROM", "CHILD_OF"},
		"the reference's target":  {`"FOLLOWS_FROM","traceID":"a1"`, `"FOLLOWS_FROM","traceID":"c3"`},
		"the holder's trace":      {"hold POST", "hold GET"},
		"the roles in the v3 API": {"dlock.blocked_by.roles", "roles"},
	} {
		if findings, err := answering(t, replace...).all(t.Context()); err == nil {
			t.Errorf("without %s the check passes:\n%s", name, findings)
		}
	}
}

func TestJaegerListensOnLoopbackAlone(t *testing.T) {
	if n := strings.Count(config, "endpoint:"); n != strings.Count(config, `endpoint: "%s"`) || n != 3 {
		t.Errorf("%d endpoints, of which some are fixed:\n%s", n, config)
	}
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range ports {
		if !strings.HasPrefix(p, "127.0.0.1:") || p == ports[(i+1)%3] {
			t.Errorf("addresses %v", ports)
		}
	}
}
