package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/core"
)

// exitStatus is the one for how a command ended.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFree), errors.Is(err, core.ErrNotHeld), errors.Is(err, core.ErrLeaseChanged):
		return exitNotThere
	case errors.Is(err, errNobodyAsked), errors.Is(err, errUnconfirmed):
		return exitUnconfirmed
	case errors.Is(err, core.ErrKey):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// unanswered is an error of a break that was sent.
type unanswered struct{ error }

func (u unanswered) Unwrap() error { return u.error }

// explain says what happened and what can be done.
func (t *tool) explain(err error) string {
	if sent, ok := errors.AsType[unanswered](err); ok {
		text := t.explain(sent.error)
		if errors.Is(err, core.ErrBackend) || errors.Is(err, context.Canceled) {
			text += "\nThe lease may be broken nonetheless: inspect it again."
		}
		return text
	}
	oe, ok := errors.AsType[*core.OperatorError](err)
	if !ok {
		return err.Error()
	}
	switch oe.Err {
	case core.ErrNotHeld:
		return fmt.Sprintf("nobody holds %s: there is nothing to break", text(oe.Key))
	case core.ErrLeaseChanged:
		holder := "another holder"
		if oe.Lease != nil {
			holder = who(oe.Lease.Holder)
		}
		return fmt.Sprintf("not broken: %s has passed to %s meanwhile; inspect it again", text(oe.Key), holder)
	case core.ErrNotLease:
		return fmt.Sprintf("not broken: what Redis has for %s was not written by this version of Latchkey; look at it with redis-cli", text(oe.Key))
	case core.ErrKey:
		return fmt.Sprintf("KEY is no lock key: %v", oe.Cause)
	case context.Canceled:
		return "interrupted"
	case core.ErrBackend:
		about := ""
		if oe.Key != "" {
			about = " about " + text(oe.Key)
		}
		return fmt.Sprintf("cannot ask %v%s: %v\nCheck %s, %s and, on a server with ACLs, the user's rights.",
			t.server, about, oe.Cause, t.server.flag(), passwordEnv)
	}
	return oe.Error()
}
