package engine

import "time"

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

// TokenRange is a range of fencing tokens that is reserved for one lease.
type TokenRange struct{ First, Last uint64 }

// tokens are the fencing tokens that are reserved for a lease: a rising one for
// each of its holders.
type tokens struct {
	used  uint64     // the last given out
	block TokenRange // where that is from
	next  TokenRange // reserved since, for when block is used up
	asked bool       // more are on their way
}

// start takes the block that came with the lease.
func (t *tokens) start(b TokenRange) { t.block, t.used = b, b.First-1 }

// add takes a block that was reserved after all that are there. There must be
// none in reserve.
func (t *tokens) add(b TokenRange) {
	if t.used == t.block.Last {
		t.start(b)
		return
	}
	t.next = b
}

// left is how many are left.
func (t *tokens) left() int {
	n := t.block.Last - t.used
	if t.next != (TokenRange{}) {
		n += t.next.Last - t.next.First + 1
	}
	return int(n)
}

// take gives out the next one. There must be one left.
func (t *tokens) take() uint64 {
	if t.used == t.block.Last {
		t.start(t.next)
		t.next = TokenRange{}
	}
	t.used++
	return t.used
}

// unused tells what a release can give back: the counter was at reserved after
// the last reservation, and may go back to used. Not beyond that reservation's
// beginning: before it, others may have reserved tokens.
func (t *tokens) unused() (used, reserved uint64) {
	if t.next != (TokenRange{}) {
		return t.next.First - 1, t.next.Last
	}
	return t.used, t.block.Last
}

// tokensFor is how many tokens the next lease on q's key should come with: as
// many as it will have holders, by what the last one had and by who is in line.
// Those who are alone need one.
func (m *Machine) tokensFor(q *Line) int {
	if m.Tenure == 0 || q.requests.length < 2 && q.served < 2 {
		return 1
	}
	return min(max(q.requests.length, q.served+q.served/4), maxTokens)
}

// reserveTokens sees to it that a lease with others in line behind its holder runs out
// neither of tokens nor of a young proof.
func (m *Machine) reserveTokens(e *Entry, now time.Time) {
	if e.state != held || m.tenureOver(e, now) {
		return
	}
	if e.renewing == 0 && now.Sub(e.valid.From()) > proofRenewal {
		m.sendRenewal(e, 0, now)
	}
	if e.tokens.asked || e.tokens.next != (TokenRange{}) {
		return
	}
	left, elapsed := e.tokens.left(), now.Sub(e.begun)
	switch {
	case left == 0:
		m.sendRenewal(e, min(max(m.tokensFor(e.line), e.served, minTokens), maxTokens), now)
	case float64(left)*elapsed.Seconds() < float64(e.served)*tokenLead.Seconds():
		// For four times as long as that at the present pace.
		more := 4 * tokenLead.Seconds() * float64(e.served) / max(elapsed.Seconds(), 1e-9)
		m.sendRenewal(e, int(min(max(more, float64(e.line.requests.length), minTokens), maxTokens)), now)
	}
}
