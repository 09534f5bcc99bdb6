package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

const (
	// maxTokens is the most fencing tokens that are reserved at once. At a
	// million handoffs a second, which is also the pace of the clock that the
	// tokens follow, they last for 8 ms.
	maxTokens = 8192
	// minTokens is the least that is asked for once more than one is needed: a
	// line is seldom over after one more. What is not used goes back.
	minTokens = 8
	// tokenLead is how long before the last token is used, at the present pace,
	// more are asked for: a few round trips.
	tokenLead = 5 * time.Millisecond
)

// tokens are the fencing tokens that are reserved for a lease: a rising one for
// each of its holders.
type tokens struct {
	used  uint64             // the last given out
	block backend.TokenRange // where that is from
	next  backend.TokenRange // reserved since, for when block is used up
	asked bool               // more are on their way
}

// start takes the block that came with the lease.
func (t *tokens) start(b backend.TokenRange) { t.block, t.used = b, b.First-1 }

// add takes a block that was reserved after all that are there. There must be
// none in reserve.
func (t *tokens) add(b backend.TokenRange) {
	if t.used == t.block.Last {
		t.start(b)
		return
	}
	t.next = b
}

// left is how many are left.
func (t *tokens) left() int {
	n := t.block.Last - t.used
	if t.next != (backend.TokenRange{}) {
		n += t.next.Last - t.next.First + 1
	}
	return int(n)
}

// take gives out the next one. There must be one left.
func (t *tokens) take() uint64 {
	if t.used == t.block.Last {
		t.start(t.next)
		t.next = backend.TokenRange{}
	}
	t.used++
	return t.used
}

// unused tells what a release can give back: the counter was at reserved after
// the last reservation, and may go back to used. Not beyond that reservation's
// beginning: before it, others may have reserved tokens.
func (t *tokens) unused() (used, reserved uint64) {
	if t.next != (backend.TokenRange{}) {
		return t.next.First - 1, t.next.Last
	}
	return t.used, t.block.Last
}

// tokensFor is how many tokens the next lease on q's key should come with: as
// many as it will have holders, by what the last one had and by who is in line.
// Those who are alone need one. The caller holds mu.
func (l *RedisLocker) tokensFor(q *queue) int {
	if l.tenure == 0 || q.line.length < 2 && q.served < 2 {
		return 1
	}
	return min(max(q.line.length, q.served+q.served/4), maxTokens)
}

// reserveTokens sees to it that a lease with others in line behind its holder runs out
// neither of tokens nor of a young proof. The caller holds mu.
func (l *RedisLocker) reserveTokens(e *entry, now time.Time) {
	if e.state != held || l.tenureOver(e, now) {
		return
	}
	if e.renewing == 0 && now.Sub(e.valid.From()) > proofRenewal {
		l.sendRenewal(e, 0)
	}
	if e.tokens.asked || e.tokens.next != (backend.TokenRange{}) {
		return
	}
	left, elapsed := e.tokens.left(), now.Sub(e.begun)
	switch {
	case left == 0:
		l.sendRenewal(e, min(max(l.tokensFor(e.queue), e.served, minTokens), maxTokens))
	case float64(left)*elapsed.Seconds() < float64(e.served)*tokenLead.Seconds():
		// For four times as long as that at the present pace.
		more := 4 * tokenLead.Seconds() * float64(e.served) / max(elapsed.Seconds(), 1e-9)
		l.sendRenewal(e, int(min(max(more, float64(e.queue.line.length), minTokens), maxTokens)))
	}
}
