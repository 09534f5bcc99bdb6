package core

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Meta is what a waiter or an operator wants to know about a holder. It is
// stored with the lease, in the clear, and read by every process that waits
// for the same key: put no secrets in it.
type Meta struct {
	// Service names the service, Host and PID the process. Host and PID are
	// filled in by [New].
	Service string `json:"service,omitempty"`
	Host    string `json:"host,omitempty"`
	PID     int    `json:"pid,omitempty"`
	// RequestID is the ID of the request that holds the lock. Transports fill
	// it in.
	RequestID string `json:"request_id,omitempty"`
	// TraceParent is the W3C trace context (https://www.w3.org/TR/trace-context/)
	// of the holder's acquire span, if it is sampled. Observers fill it in.
	TraceParent string `json:"traceparent,omitempty"`
}

// over returns m with the fields that are set in o replaced by o's.
func (m Meta) over(o Meta) Meta {
	if o.Service != "" {
		m.Service = o.Service
	}
	if o.Host != "" {
		m.Host = o.Host
	}
	if o.PID != 0 {
		m.PID = o.PID
	}
	if o.RequestID != "" {
		m.RequestID = o.RequestID
	}
	if o.TraceParent != "" {
		m.TraceParent = o.TraceParent
	}
	return m
}

// shared returns m to be kept: this process's own if m is equal to that.
func (l *RedisLocker) shared(m *Meta) *Meta {
	if *m == l.settings.Meta {
		return &l.settings.Meta
	}
	kept := *m
	return &kept
}

// Caps of what is stored. Names that are longer are cut; a request ID or a
// trace context that is longer is left out, because a part of one is no use.
const (
	maxMetaName      = 64
	maxMetaRequestID = 128
	maxMetaTrace     = 64
)

// appendMeta appends m and the holder's start as they are stored: a query
// string, so that people can read it and newer versions can add to it.
func appendMeta(b []byte, m Meta, since time.Time) []byte {
	start := len(b)
	add := func(name, value string) {
		if value == "" {
			return
		}
		if len(b) > start {
			b = append(b, '&')
		}
		b = append(append(b, name...), '=')
		b = append(b, url.QueryEscape(value)...)
	}
	add("service", cutName(m.Service))
	add("host", cutName(m.Host))
	if m.PID != 0 {
		var digits [20]byte
		add("pid", string(strconv.AppendInt(digits[:0], int64(m.PID), 10)))
	}
	if len(m.RequestID) <= maxMetaRequestID {
		add("request", m.RequestID)
	}
	if len(m.TraceParent) <= maxMetaTrace {
		add("trace", m.TraceParent)
	}
	var digits [20]byte // of any int64
	add("since", string(strconv.AppendInt(digits[:0], since.UnixMilli(), 10)))
	return b
}

// cutName returns as many whole characters of a name as are stored.
func cutName(s string) string {
	if len(s) <= maxMetaName {
		return s
	}
	n := maxMetaName
	for n > maxMetaName-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// decodeHolder is the inverse of appendMeta; nil if there is nothing in s that
// it knows. It is lenient: the text is only shown to people. But it is always
// valid UTF-8, without which an exporter refuses a whole batch of spans
// (https://protobuf.dev/programming-guides/proto3/#scalar).
func decodeHolder(s string) *Holder {
	values, _ := url.ParseQuery(s) // what could be parsed
	if len(values) == 0 {
		return nil
	}
	text := func(name string) string { return strings.ToValidUTF8(values.Get(name), "\uFFFD") }
	h := &Holder{Meta: Meta{
		Service:     text("service"),
		Host:        text("host"),
		RequestID:   text("request"),
		TraceParent: text("trace"),
	}}
	h.PID, _ = strconv.Atoi(values.Get("pid"))
	if ms, err := strconv.ParseInt(values.Get("since"), 10, 64); err == nil {
		h.Since = time.UnixMilli(ms)
	}
	return h
}
