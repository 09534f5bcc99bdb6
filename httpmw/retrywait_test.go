package httpmw_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
)

func bubble(t *testing.T, fn func(*testing.T)) { synctest.Test(t, fn) }

// waits sends a request that is always denied by answer, and returns the times
// between its attempts.
func waits(t *testing.T, answer func(*http.Request) *http.Response, opts ...httpmw.TransportOption) (between []time.Duration) {
	t.Helper()
	var last time.Time
	base := roundTrip(func(r *http.Request) (*http.Response, error) {
		if now := time.Now(); !last.IsZero() {
			between = append(between, now.Sub(last))
		}
		last = time.Now()
		return answer(r), nil
	})
	resp, err := mustTransport(t, base, opts...).RoundTrip(newRequest(t, "http://h", nil))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "time from the last attempt to the answer", time.Since(last), 0)
	equal(t, "status", resp.StatusCode, http.StatusConflict)
	return between
}

func TestTheNextAttemptComesNotBeforeTheHintAndAtMostAQuarterLater(t *testing.T) {
	for name, row := range map[string]struct {
		ms     string // of the body
		header string // Retry-After
		date   string // Date
		want   time.Duration
	}{
		"milliseconds go before the header": {"700", "1", "", 700 * time.Millisecond},
		"too soon to be useful":             {"1", "", "", 10 * time.Millisecond},
		"seconds":                           {"0", "3", "", 3 * time.Second},
		// A bubble's clock begins on that day at midnight.
		"a date":                        {"0", "Sat, 01 Jan 2000 00:00:20 GMT", "", 20 * time.Second},
		"a date, by the server's clock": {"0", "Sat, 01 Jan 2011 00:00:20 GMT", "Sat, 01 Jan 2011 00:00:00 GMT", 20 * time.Second},
		"the longest":                   {"60000", "", "", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got := waits(t, problem(row.ms, row.header, row.date), httpmw.RetryHeld(1))
				if len(got) != 1 || got[0] < row.want || got[0] > row.want*5/4 {
					t.Errorf("waited %v, want one wait of %v, or up to a quarter longer", got, row.want)
				}
			})
		})
	}
}

func TestWithoutAUsefulHintTheWaitsGrow(t *testing.T) {
	for name, header := range map[string]string{
		"none": "", "zero": "0", "negative": "-5", "garbage": "soon", "fraction": "1.5", "signed": "+3",
		"past date": "Fri, 31 Dec 1999 23:59:59 GMT",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got := waits(t, problem("0", header, ""), httpmw.RetryHeld(8))
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
	for name, answer := range map[string]func(*http.Request) *http.Response{
		"milliseconds":          problem("60001", "", ""),
		"most milliseconds":     problem("9223372036854775807", "", ""),
		"seconds":               problem("0", "61", ""),
		"most seconds":          problem("0", "9223372036854775807", ""),
		"more than all seconds": problem("0", "99999999999999999999999999", ""),
		"a date":                problem("0", "Fri, 31 Dec 9999 23:59:59 GMT", ""),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				equal(t, "retries", len(waits(t, answer, httpmw.RetryHeld(5))), 0)
			})
		})
	}
	t.Run("a bound of one's own", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			bound := httpmw.MaxRetryWait(3 * time.Second)
			equal(t, "retries at 3 s", len(waits(t, problem("3000", "", ""), httpmw.RetryHeld(5), bound)), 5)
			equal(t, "retries beyond", len(waits(t, problem("3001", "", ""), httpmw.RetryHeld(5), bound)), 0)
			for _, wait := range waits(t, problem("0", "", ""), httpmw.RetryHeld(8), bound) {
				if wait > 3*time.Second {
					t.Errorf("waited %v without a hint", wait)
				}
			}
		})
	})
}

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
				sent := 0
				base := roundTrip(func(r *http.Request) (*http.Response, error) {
					sent++
					time.Sleep(time.Millisecond) // the round trip
					return denial(r, core.ReasonWaitTimeout, 3*time.Second), nil
				})
				r := newRequest(t, "http://h", nil)
				ctx, cancel := context.WithTimeout(r.Context(), row.timeout)
				defer cancel()
				began := time.Now()
				resp, err := mustTransport(t, base, httpmw.RetryHeld(3)).RoundTrip(r.WithContext(ctx))
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "status", resp.StatusCode, http.StatusConflict)
				equal(t, "attempts", sent, row.sent)
				if row.sent == 1 {
					equal(t, "time", time.Since(began), time.Millisecond)
				}
			})
		})
	}
}

// The same with the Timeout of a Client, which sets the deadline by itself.
func TestTheTimeoutOfAClientIsADeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		base := roundTrip(func(r *http.Request) (*http.Response, error) {
			return denial(r, core.ReasonHeld, 3*time.Second), nil
		})
		client := &http.Client{Timeout: 2 * time.Second, Transport: mustTransport(t, base, httpmw.RetryHeld(3))}
		began := time.Now()
		resp, err := client.Do(newRequest(t, "http://h", nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		equal(t, "status", resp.StatusCode, http.StatusConflict)
		equal(t, "time", time.Since(began), 0)
	})
}

func TestAContextThatEndsDuringTheWaitEndsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := errors.New("the user has closed the window")
		base := roundTrip(func(r *http.Request) (*http.Response, error) {
			return denial(r, core.ReasonHeld, time.Minute), nil
		})
		r := newRequest(t, "http://h", nil)
		ctx, cancel := context.WithCancelCause(r.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		began := time.Now()
		_, err := mustTransport(t, base, httpmw.RetryHeld(3)).RoundTrip(r.WithContext(ctx))
		equal(t, "error", err, gone)
		equal(t, "time", time.Since(began), time.Second)
	})
}

func TestThoseWhoWereToldTheSameDoNotComeBackTogether(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) *http.Response{
		"a hint of 2 s":                   problem("0", "2", ""),
		"no hint, as from a server's end": problem("0", "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const clients, slot = 1000, 10 * time.Millisecond
				var mu sync.Mutex
				slots := map[time.Duration]int{}
				began := time.Now()
				tr := mustTransport(t, roundTrip(func(r *http.Request) (*http.Response, error) {
					if after := time.Since(began); after > 0 {
						mu.Lock()
						slots[after/slot]++
						mu.Unlock()
					}
					return answer(r), nil
				}), httpmw.RetryHeld(1))
				var group sync.WaitGroup
				for range clients {
					group.Go(func() {
						if _, err := tr.RoundTrip(newRequest(t, "http://h", nil)); err != nil {
							t.Error(err)
						}
					})
				}
				group.Wait()
				most, all := 0, 0
				for _, n := range slots {
					most, all = max(most, n), all+n
				}
				t.Logf("at most %d of %d in %v", most, all, slot)
				equal(t, "second attempts", all, clients)
				// Evenly spread they are 20 and 40 in each slot.
				if most > clients/8 {
					t.Errorf("%d of %d clients came back within %v", most, clients, slot)
				}
			})
		})
	}
}
