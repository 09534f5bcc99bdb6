package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
)

// bubble runs a test on a clock of its own, and fails it if a goroutine is left.
func bubble(t *testing.T, fn func(*testing.T)) { synctest.Test(t, fn) }

// hinting is a base whose denials have these hints; "" leaves a header out.
func hinting(ms, retryAfter, date string) *scripted {
	return &scripted{answer: func(*http.Request) (*http.Response, error) {
		resp := answer(http.StatusConflict, "application/problem+json", strings.NewReader(fmt.Sprintf(
			`{"type":%q,"reason":"LOCK_HELD","retry_after_ms":%s}`, heldType, ms)), -1)
		for name, value := range map[string]string{"Retry-After": retryAfter, "Date": date} {
			if value != "" {
				resp.Header.Set(name, value)
			}
		}
		return resp, nil
	}}
}

// waits sends a request that base denies, and returns the times between its
// attempts.
func waits(t *testing.T, base *scripted, opts ...httpmw.TransportOption) (between []time.Duration) {
	t.Helper()
	base.sent = nil
	resp, err := mustTransport(t, base, opts...).RoundTrip(outbound(t, "http://h", nil))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "status", resp.StatusCode, http.StatusConflict)
	for i := range base.sent[1:] {
		between = append(between, base.sent[i+1].Sub(base.sent[i]))
	}
	equal(t, "time from the last attempt to the answer", time.Since(base.sent[len(between)]), 0)
	return between
}

func TestTheNextAttemptComesNotBeforeTheHintAndAtMostAQuarterLater(t *testing.T) {
	for name, row := range map[string]struct {
		base *scripted
		want time.Duration
	}{
		"milliseconds go before the header": {hinting("700", "1", ""), 700 * time.Millisecond},
		"too soon to be useful":             {hinting("1", "", ""), 10 * time.Millisecond},
		"seconds":                           {hinting("0", "3", ""), 3 * time.Second},
		// A bubble's clock begins on that day at midnight.
		"a date": {hinting("0", "Sat, 01 Jan 2000 00:00:20 GMT", ""), 20 * time.Second},
		"a date, by the server's clock": {
			hinting("0", "Sat, 01 Jan 2011 00:00:20 GMT", "Sat, 01 Jan 2011 00:00:00 GMT"), 20 * time.Second,
		},
		"the longest": {hinting("60000", "", ""), time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got := waits(t, row.base, httpmw.RetryHeld(1))
				if len(got) != 1 || got[0] < row.want || got[0] > row.want*5/4 {
					t.Errorf("waited %v, want one wait of %v, or up to a quarter longer", got, row.want)
				}
			})
		})
	}
}

func TestWithoutAUsefulHintTheWaitsGrow(t *testing.T) {
	for name, header := range map[string]string{
		"none": "", "zero": "0", "negative": "-5", "garbage": "soon", "past date": "Fri, 31 Dec 1999 23:59:59 GMT",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got := waits(t, hinting("0", header, ""), httpmw.RetryHeld(8))
				equal(t, "retries", len(got), 8)
				least := 250 * time.Millisecond
				for i, wait := range got {
					if wait < least || wait > 2*least {
						t.Errorf("wait %d took %v, want %v to %v", i+1, wait, least, 2*least)
					}
					least = min(2*least, 8*time.Second)
				}
			})
		})
	}
}

func TestAHintBeyondTheBoundIsNotFollowedAndTheDenialReturnedAtOnce(t *testing.T) {
	for name, base := range map[string]*scripted{
		"milliseconds":          hinting("60001", "", ""),
		"most milliseconds":     hinting("9223372036854775807", "", ""),
		"seconds":               hinting("0", "61", ""),
		"most seconds":          hinting("0", "9223372036854775807", ""),
		"more than all seconds": hinting("0", "99999999999999999999999999", ""),
		"a date":                hinting("0", "Fri, 31 Dec 9999 23:59:59 GMT", ""),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { equal(t, "retries", len(waits(t, base, httpmw.RetryHeld(5))), 0) })
		})
	}
	t.Run("a bound of one's own", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			opts := []httpmw.TransportOption{httpmw.RetryHeld(5), httpmw.MaxRetryWait(3 * time.Second)}
			equal(t, "retries at 3 s", len(waits(t, hinting("3000", "", ""), opts...)), 5)
			equal(t, "retries beyond", len(waits(t, hinting("3001", "", ""), opts...)), 0)
			for _, wait := range waits(t, hinting("0", "", ""), opts...) {
				if wait > 3*time.Second {
					t.Errorf("waited %v without a hint", wait)
				}
			}
		})
	})
}

// The Timeout of a Client is a deadline, too.
func TestAWaitThatCannotEndBeforeTheDeadlineIsNotBegun(t *testing.T) {
	for name, row := range map[string]struct {
		timeout time.Duration
		sent    int
	}{
		"the hint is after it":     {2 * time.Second, 1},
		"the third attempt is":     {6 * time.Second, 2},
		"all are within it":        {time.Minute, 4},
		"it passed during the try": {time.Nanosecond, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				base := denying(core.ReasonWaitTimeout, 3*time.Second)
				denial := base.answer
				base.answer = func(r *http.Request) (*http.Response, error) {
					time.Sleep(time.Millisecond) // the round trip
					return denial(r)
				}
				client := &http.Client{Timeout: row.timeout, Transport: mustTransport(t, base, httpmw.RetryHeld(3))}
				resp, err := client.Do(outbound(t, "http://h", nil))
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				equal(t, "status", resp.StatusCode, http.StatusConflict)
				equal(t, "attempts", len(base.sent), row.sent)
				equal(t, "time from the last attempt to the answer", time.Since(base.sent[len(base.sent)-1]), time.Millisecond)
			})
		})
	}
}

func TestAContextThatEndsDuringTheWaitEndsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := errors.New("the user has closed the window")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		began := time.Now()
		_, err := mustTransport(t, denying(core.ReasonHeld, time.Minute), httpmw.RetryHeld(3)).
			RoundTrip(outbound(t, "http://h", nil).WithContext(ctx))
		equal(t, "error", err, gone)
		equal(t, "time", time.Since(began), time.Second)
	})
}

func TestThoseWhoWereToldTheSameDoNotComeBackTogether(t *testing.T) {
	for name, base := range map[string]*scripted{
		"a hint of 2 s":                   hinting("0", "2", ""),
		"no hint, as from a server's end": hinting("0", "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const clients, slot = 1000, 10 * time.Millisecond
				slots := map[time.Duration]int{}
				for range clients {
					for _, wait := range waits(t, base, httpmw.RetryHeld(1)) {
						slots[wait/slot]++
					}
				}
				// Evenly spread they are 20 and 40 in each slot.
				for after, n := range slots {
					if n > clients/8 {
						t.Errorf("%d of %d clients came back within the %v after %v", n, clients, slot, after*slot)
					}
				}
			})
		})
	}
}
