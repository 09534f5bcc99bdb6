package demo

import (
	"context"
	"fmt"
	"io"
	"time"
)

// patience is how long the requests that run have to finish.
const patience = 10 * time.Second

// Serve runs serve until ctx ends. Then it calls shutdown, which has ten
// seconds and must make serve return, and returns its error. If serve returns
// before ctx ends, Serve returns its error and does not call shutdown. It tells
// on out how to end the program, and that it is ending.
func Serve(ctx context.Context, out io.Writer, serve func() error, shutdown func(context.Context) error) error {
	served := make(chan error, 1)
	go func() { served <- serve() }()
	fmt.Fprintln(out, "\nCtrl-C ends.")
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	fmt.Fprintln(out, "Finishing what runs.")
	// Without cancellation: ctx has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := shutdown(ctx)
	<-served // what it returns only says that it was shut down
	return err
}
