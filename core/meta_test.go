package core

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// maxEncodedMeta is what a lease's metadata takes at worst, in bytes: every
// character escaped threefold, the longest numbers and the names.
const maxEncodedMeta = 3*(2*maxMetaName+maxMetaRequestID+maxMetaTrace) + 2*20 + 60

func encodeMeta(m Meta, since time.Time) string { return string(appendMeta(nil, m, since)) }

func TestMetadataSurvivesItsWayThroughRedis(t *testing.T) {
	since := time.UnixMilli(1_790_000_000_123)
	for name, m := range map[string]Meta{
		"nothing":    {},
		"all":        {Service: "shop", Host: "web-1", PID: 4711, RequestID: "req_01HZX", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"structure":  {Service: "a&b=c", Host: "x;y%z", RequestID: "1+1 = 2"},
		"lines":      {Service: "a\nb", Host: "c\r\nd", RequestID: "e\x00f"},
		"unicode":    {Service: "läden", Host: "東京", RequestID: "🔑"},
		"negative":   {PID: -1},
		"at the cap": {Service: strings.Repeat("s", 64), Host: strings.Repeat("&", 64), RequestID: strings.Repeat("\n", 128), TraceParent: strings.Repeat("%", 64)},
	} {
		t.Run(name, func(t *testing.T) {
			got := decodeHolder(encodeMeta(m, since))
			if got == nil || got.Meta != m || !got.Since.Equal(since) {
				t.Errorf("%+v, want %+v since %v", got, m, since)
			}
		})
	}
}

func TestMetadataIsReadableByPeople(t *testing.T) {
	got := encodeMeta(Meta{Service: "shop", Host: "web-1", PID: 7, RequestID: "req-1", TraceParent: "00-ab-cd-01"}, time.UnixMilli(12345))
	if want := "service=shop&host=web-1&pid=7&request=req-1&trace=00-ab-cd-01&since=12345"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestMetadataThatIsTooLong(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, c := range map[string]struct{ in, want Meta }{
		"a service is cut":         {Meta{Service: long}, Meta{Service: long[:64]}},
		"a host is cut":            {Meta{Host: long}, Meta{Host: long[:64]}},
		"at a character's end, 2":  {Meta{Service: "x" + strings.Repeat("ä", 40)}, Meta{Service: "x" + strings.Repeat("ä", 31)}},
		"at a character's end, 3":  {Meta{Host: strings.Repeat("東", 40)}, Meta{Host: strings.Repeat("東", 21)}},
		"at a character's end, 4":  {Meta{Host: "xxx" + strings.Repeat("🔑", 40)}, Meta{Host: "xxx" + strings.Repeat("🔑", 15)}},
		"a request ID is left out": {Meta{RequestID: long[:129], PID: 1}, Meta{PID: 1}},
		"a trace is left out":      {Meta{TraceParent: long[:65], PID: 1}, Meta{PID: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decodeHolder(encodeMeta(c.in, time.UnixMilli(0))); got == nil || got.Meta != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// Another version, or another program, may have written it.
func TestMetadataIsReadLeniently(t *testing.T) {
	for text, want := range map[string]*Holder{
		"":                              nil,
		"&&":                            nil,
		"unknown=1":                     {},
		"service=shop&new=1":            {Meta: Meta{Service: "shop"}},
		"service=shop&host=%zz&pid=x":   {Meta: Meta{Service: "shop"}},
		"pid=7&since=never":             {Meta: Meta{PID: 7}},
		"since=1000":                    {Since: time.UnixMilli(1000)},
		"since=99999999999999999999":    {},
		"service=a;b&host=h":            {Meta: Meta{Host: "h"}},
		"service=%ff%fe&request=a%C3":   {Meta: Meta{Service: "\uFFFD", RequestID: "a\uFFFD"}},
		"service=first&service=another": {Meta: Meta{Service: "first"}},
	} {
		got := decodeHolder(text)
		if (got == nil) != (want == nil) || got != nil && (got.Meta != want.Meta || !got.Since.Equal(want.Since)) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func FuzzMetadataIsOneShortLine(f *testing.F) {
	f.Add("shop", "web-1", 4711, "req-1", "00-ab-cd-01", int64(1_790_000_000_123))
	f.Add("a\nb", strings.Repeat("\n", 200), -1, strings.Repeat("\n", 128), strings.Repeat("\xff", 64), int64(-1))
	f.Add("x"+strings.Repeat("ä", 40), strings.Repeat("\x80", 100), 1<<62, "", "", int64(1)<<62)
	f.Fuzz(func(t *testing.T, service, host string, pid int, request, trace string, since int64) {
		m := Meta{Service: service, Host: host, PID: pid, RequestID: request, TraceParent: trace}
		s := encodeMeta(m, time.UnixMilli(since))
		if strings.ContainsAny(s, "\r\n\x00") {
			t.Fatalf("not one line: %q", s)
		}
		if len(s) > maxEncodedMeta || len(s) > 1200 {
			t.Fatalf("%d bytes", len(s))
		}
		h := decodeHolder(s)
		if h == nil || h.PID != pid || !h.Since.Equal(time.UnixMilli(since)) {
			t.Fatalf("%q: %+v", s, h)
		}
		for name, c := range map[string]struct {
			was, got string
			limit    int
			cut      bool
		}{
			"service": {service, h.Service, maxMetaName, true},
			"host":    {host, h.Host, maxMetaName, true},
			"request": {request, h.RequestID, maxMetaRequestID, false},
			"trace":   {trace, h.TraceParent, maxMetaTrace, false},
		} {
			switch {
			case !utf8.ValidString(c.got):
				t.Errorf("%s: %q is not UTF-8", name, c.got)
			case !utf8.ValidString(c.was):
			case len(c.was) <= c.limit && c.got != c.was,
				len(c.was) > c.limit && !c.cut && c.got != "",
				len(c.was) > c.limit && c.cut && (!strings.HasPrefix(c.was, c.got) || len(c.got) <= c.limit-utf8.UTFMax):
				t.Errorf("%s: %q became %q", name, c.was, c.got)
			}
		}
	})
}

// What others read of it is arbitrary text.
func FuzzReadingMetadataNeverFails(f *testing.F) {
	f.Add("service=shop&host=web-1&pid=7&request=req-1&trace=00-ab-cd-01&since=12345")
	f.Add("%=;&&&pid=1e9&since=-")
	f.Fuzz(func(t *testing.T, s string) {
		h := decodeHolder(s)
		if h == nil {
			return
		}
		for _, text := range []string{h.Service, h.Host, h.RequestID, h.TraceParent} {
			if !utf8.ValidString(text) {
				t.Errorf("%q is not UTF-8", text)
			}
		}
	})
}
