package lockotel

import (
	"context"
	"runtime/pprof"
	"sync"

	"github.com/latchkey-go/latchkey/core"
)

// ProfileName is the name of the profile of [WithHeldProfile].
const ProfileName = "dlock.held"

// heldProfile returns the one profile of this process. It may exist: another
// version of this package can be a part of the program.
var heldProfile = sync.OnceValue(func() *pprof.Profile {
	if p := pprof.Lookup(ProfileName); p != nil {
		return p
	}
	return pprof.NewProfile(ProfileName)
})

// heldStack is an entry of the profile: a lock that is held.
type heldStack struct {
	namespace, key string
	token          uint64
}

// heldStackKey finds it in a context, whichever observer's it is.
type heldStackKey struct{}

// addStack adds the stack of whoever acquires l, unless another observer of this
// very lock has: a lock that two of them see is still one.
func (o *Observer) addStack(ctx context.Context, a core.Attempt, l core.Lock) (context.Context, *heldStack) {
	s := heldStack{a.Namespace, a.Key, l.Token()}
	if there, _ := ctx.Value(heldStackKey{}).(*heldStack); there != nil && *there == s {
		return ctx, nil
	}
	// From core's Acquire on: the two frames above it are this and Holding.
	o.profile.Add(&s, 3)
	return context.WithValue(ctx, heldStackKey{}, &s), &s
}
