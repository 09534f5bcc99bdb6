package httpmw_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// clients are the kinds of client that get the rows of the table. get returns
// the answer without its Date, with \n for \r\n, or "" if there is none.
var clients = []struct {
	name  string
	http2 bool
	tls   bool
	get   func(*testing.T, *httptest.Server, denialRow) string
}{
	{"a socket", false, false, wire},
	{"net/http, HTTP/1.1", false, false, netHTTP(func(p *http.Protocols) { p.SetHTTP1(true) })},
	{"net/http, HTTP/1.1 with TLS", false, true, netHTTP(func(p *http.Protocols) { p.SetHTTP1(true) })},
	{"net/http, HTTP/2 with TLS", true, true, netHTTP(func(p *http.Protocols) { p.SetHTTP2(true) })},
	{"net/http, HTTP/2 in the clear", true, false, netHTTP(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })},
	{"curl, HTTP/1.1", false, false, curl("--http1.1")},
	{"curl, HTTP/2 with TLS", true, true, curl("--http2")},
}

// wire is a client that sees the bytes of HTTP/1.1 as they are.
func wire(t *testing.T, s *httptest.Server, row denialRow) string {
	t.Helper()
	var headers strings.Builder
	for _, tenant := range row.tenants {
		fmt.Fprintf(&headers, "X-Tenant: %s\n", tenant)
	}
	if row.body != "" {
		fmt.Fprintf(&headers, "Content-Encoding: %s\nContent-Length: %d\n", row.coding, len(row.body))
	}
	r := strings.Replace(request, "PUT", row.method, 1)
	return exchange(t, s, strings.Replace(r, "X-Tenant: acme-secret\n", headers.String(), 1)+row.body)
}

// http2Form returns an answer of HTTP/1.1 as it is in HTTP/2: without a reason
// phrase, with names in lower case, the length last, and a GOAWAY for Connection:
// close.
func http2Form(answer string) string {
	if answer == "" {
		return ""
	}
	head, body, _ := strings.Cut(answer, "\n\n")
	lines := strings.Split(head, "\n")
	form, length := "HTTP/2 "+strings.Fields(lines[0])[1]+"\n", ""
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		line = strings.ToLower(name) + ":" + value + "\n"
		switch name {
		case "Connection":
		case "Content-Length":
			length = line
		default:
			form += line
		}
	}
	return form + length + "\n" + body
}

func netHTTP(set func(*http.Protocols)) func(*testing.T, *httptest.Server, denialRow) string {
	return func(t *testing.T, s *httptest.Server, row denialRow) string {
		t.Helper()
		resp, err := clientOf(t, s, set).Do(newRequest(t, s, row))
		if err != nil {
			return ""
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
		resp.Header.Del("Date")
		if resp.Close {
			resp.Header.Set("Connection", "close") // which it has turned into this
		}
		for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
			for _, value := range resp.Header[name] {
				fmt.Fprintf(&b, "%s: %s\n", name, value)
			}
		}
		fmt.Fprintf(&b, "\n%s", body)
		if resp.ProtoMajor == 2 {
			return http2Form(b.String())
		}
		return b.String()
	}
}

func newRequest(t *testing.T, s *httptest.Server, row denialRow) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), row.method, s.URL+"/orders/42", strings.NewReader(row.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Request-ID", "req-1")
	r.Header["X-Tenant"] = row.tenants
	r.Header.Set("Content-Encoding", row.coding)
	return r
}

// clientOf returns a client of s with these protocols and connections of its own.
func clientOf(t *testing.T, s *httptest.Server, set func(*http.Protocols)) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	set(transport.Protocols)
	if of, ok := s.Client().Transport.(*http.Transport); ok && of.TLSClientConfig != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: of.TLSClientConfig.RootCAs}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func curl(protocol string) func(*testing.T, *httptest.Server, denialRow) string {
	return func(t *testing.T, s *httptest.Server, row denialRow) string {
		t.Helper()
		needCurl(t, strings.HasPrefix(protocol, "--http2"))
		args := []string{"-q", "--silent", "--insecure", "--noproxy", "*", "--include", protocol, "--max-time", "30", "-H", "X-Request-ID: req-1"}
		for _, tenant := range row.tenants {
			args = append(args, "-H", "X-Tenant: "+tenant)
		}
		if row.method == http.MethodHead {
			args = append(args, "--head")
		} else {
			args = append(args, "--request", row.method)
		}
		if row.body != "" {
			args = append(args, "--data-binary", row.body, "-H", "Content-Encoding: "+row.coding)
		}
		var out bytes.Buffer
		cmd := exec.CommandContext(soon(t), "curl", append(args, s.URL+"/orders/42")...)
		cmd.Stdout = &out
		err := cmd.Run()
		if err != nil && out.Len() > 0 {
			t.Fatalf("%v after %s", err, out.String())
		}
		text := strings.ReplaceAll(out.String(), "\r\n", "\n")
		return strings.Replace(dateLine.ReplaceAllString(text, ""), " \n", "\n", 1) // no reason phrase
	}
}

// needCurl skips the test, and says so, without a curl that speaks the protocol;
// with LATCHKEY_REQUIRE_CURL=1 in the environment that is a failure.
func needCurl(t *testing.T, http2 bool) {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), "curl", "--version").Output()
	if err == nil && (!http2 || bytes.Contains(version, []byte("HTTP2"))) {
		return
	}
	if os.Getenv("LATCHKEY_REQUIRE_CURL") == "1" {
		t.Fatalf("LATCHKEY_REQUIRE_CURL=1, and there is no curl on PATH that speaks the protocol: %v\n%s", err, version)
	}
	t.Skipf("\n*** SKIPPED: %s was NOT RUN: there is no curl on PATH that speaks its protocol.\n"+
		"*** Install it (apt-get install curl, brew install curl); net/http and a socket were still asked.", t.Name())
}
