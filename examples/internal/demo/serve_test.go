package demo_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/examples/internal/demo"
)

var errServe, errShutdown = errors.New("serve"), errors.New("shutdown")

func TestTheEndOfTheContextShutsTheServerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		closing, serving := make(chan struct{}), true
		time.AfterFunc(time.Hour, interrupt)
		var out strings.Builder
		err := demo.Serve(ctx, &out,
			func() error { <-closing; serving = false; return errServe },
			func(ctx context.Context) error {
				if deadline, ok := ctx.Deadline(); ctx.Err() != nil || !ok || time.Until(deadline) != 10*time.Second {
					t.Errorf("shut down with %v", ctx)
				}
				close(closing)
				return errShutdown
			})
		if err != errShutdown || serving {
			t.Errorf("got %v, serving %t", err, serving)
		}
		if out.String() != "\nCtrl-C ends.\nFinishing what runs.\n" {
			t.Errorf("it said %q", &out)
		}
	})
}

func TestAServerThatEndsByItselfIsNotShutDown(t *testing.T) {
	err := demo.Serve(t.Context(), io.Discard,
		func() error { return errServe },
		func(context.Context) error { t.Error("shut down"); return nil })
	if err != errServe {
		t.Errorf("got %v", err)
	}
}
