package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The spans that are looked for: the office waited for the web.
const (
	waiterService = "office"
	waiterSpan    = "acquire PUT /prices/{item}"
	holderSpan    = "hold POST /orders/{item}"
)

// traces is an answer of Jaeger's query API, as far as it matters.
type traces struct {
	Data []struct {
		TraceID string
		Spans   []span
	}
}

type span struct {
	TraceID, SpanID, OperationName string
	Duration                       int64 // µs
	References                     []struct{ RefType, TraceID, SpanID string }
	Tags                           []struct {
		Key   string
		Value any
	}
}

func (s span) tag(key string) any {
	for _, t := range s.Tags {
		if t.Key == key {
			return t.Value
		}
	}
	return nil
}

// check asks Jaeger, and keeps its answers.
type check struct {
	query string
	kept  []answer
}

type answer struct {
	Question string          `json:"question"`
	Answer   json.RawMessage `json:"answer"`
}

func (c *check) answers() []byte {
	text, _ := json.MarshalIndent(c.kept, "", " ") // of text that was JSON
	return append(text, '\n')
}

// wait checks until all is there: Jaeger stores spans a moment after it took them.
func (c *check) wait(ctx context.Context) (findings string, err error) {
	const patience = 10 * time.Second
	for start := time.Now(); ; {
		c.kept = nil
		findings, err = c.all(ctx)
		if err == nil || time.Since(start) > patience || ctx.Err() != nil {
			return findings, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// all is the whole check. What it finds is told line by line.
func (c *check) all(ctx context.Context) (findings string, err error) {
	var b strings.Builder
	found := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }

	var waits traces
	if err := c.ask(ctx, "/api/traces?service="+waiterService, &waits); err != nil {
		return "", err
	}
	waiter, ok := waits.find(waiterSpan)
	if !ok {
		return "", fmt.Errorf("no span %q of the service %s", waiterSpan, waiterService)
	}
	if waiter.tag("dlock.contended") != true || waiter.Duration <= 0 {
		return "", fmt.Errorf("%q is not a wait: %+v", waiterSpan, waiter)
	}
	found("the trace %s has the bar %q, of %v", waiter.TraceID, waiterSpan, time.Duration(waiter.Duration)*time.Microsecond)

	blocker, _ := waiter.tag("dlock.blocked_by.trace_id").(string)
	if blocker == "" || blocker == waiter.TraceID {
		return "", fmt.Errorf("dlock.blocked_by.trace_id is %q", blocker)
	}
	found("dlock.blocked_by.trace_id is %s", blocker)
	follows := false
	for _, r := range waiter.References {
		follows = follows || r.RefType == "FOLLOWS_FROM" && r.TraceID == blocker
	}
	if !follows {
		return "", fmt.Errorf("no FOLLOWS_FROM reference to the trace %s: %+v", blocker, waiter.References)
	}
	found("it has a FOLLOWS_FROM reference to that trace")

	var holder traces
	if err := c.ask(ctx, "/api/traces/"+blocker, &holder); err != nil {
		return "", err
	}
	if _, ok := holder.find(holderSpan); !ok {
		return "", fmt.Errorf("the trace %s has no %q", blocker, holderSpan)
	}
	found("that trace is there, and has the bar %q", holderSpan)

	tags, err := json.Marshal(map[string]string{"dlock.blocked_by.trace_id": blocker})
	if err != nil {
		return "", err
	}
	var waited traces
	if err := c.ask(ctx, "/api/traces?service="+waiterService+"&tags="+url.QueryEscape(string(tags)), &waited); err != nil {
		return "", err
	}
	if again, ok := waited.find(waiterSpan); !ok || again.SpanID != waiter.SpanID || len(waited.Data) != 1 {
		return "", fmt.Errorf("a search for %s finds %+v", tags, waited)
	}
	found("a search for who waited for that trace (%s) finds the waiter, and nothing else", tags)

	// The newer API keeps what the link says, too.
	var newer json.RawMessage
	if err := c.ask(ctx, "/api/v3/traces/"+waiter.TraceID, &newer); err != nil {
		return "", err
	}
	if !strings.Contains(string(newer), "dlock.blocked_by.roles") {
		return "", errors.New("/api/v3 has the link without its roles")
	}
	found("/api/v3 has the link with dlock.blocked_by.roles")
	return b.String(), nil
}

func (t traces) find(operation string) (span, bool) {
	for _, trace := range t.Data {
		for _, s := range trace.Spans {
			if s.OperationName == operation {
				return s, true
			}
		}
	}
	return span{}, false
}

// ask decodes the answer to a question into to.
func (c *check) ask(ctx context.Context, question string, to any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.query+question, nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", question, reply.Status, text)
	}
	c.kept = append(c.kept, answer{question, text})
	return json.Unmarshal(text, to)
}
