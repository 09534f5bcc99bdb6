package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// serve keeps the replicas up until ctx ends.
func serve(ctx context.Context, c config, r *redisServer, stdout, stderr io.Writer) (err error) {
	m := c.modes[0]
	f, err := openShop(context.WithoutCancel(ctx), c, m, r)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.close())
		f.faults.writeTo(stderr, m)
	}()
	writeInvitation(stdout, c, r, f)
	<-ctx.Done()
	fmt.Fprintln(stdout, "\nClosing: the requests inside are answered first.")
	if err := f.drain(); err != nil {
		return err
	}
	b, err := f.books()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s sold, %s left.\n", thousands(b.Sold), thousands(b.Stock))
	if s := f.longest.explain(); s != "" {
		fmt.Fprintln(stdout, s)
	}
	return nil
}

// writeInvitation prints lines to paste into another terminal.
func writeInvitation(w io.Writer, c config, r *redisServer, f *shopFloor) {
	fmt.Fprintf(w, "%s units of %q, mode %s, %d replicas, %s. Ctrl-C ends.\n",
		thousands(c.units), item, c.modes[0], len(f.replicas), r.kind())
	for i, replica := range f.replicas {
		fmt.Fprintf(w, `
replica %d
  curl -X POST http://%s/items/%s/orders -d '{"buyer":"ann","quantity":1}'
  curl http://%[2]s/items/%[3]s
  grpcurl -plaintext -d '{"item":"%[3]s","buyer":"bob","quantity":1}' %[4]s latchkey.examples.shop.v1.Shop/Buy
  grpcurl -plaintext -d '{"item":"%[3]s"}' %[4]s latchkey.examples.shop.v1.Shop/Watch
`, i+1, replica.httpAddr(), item, replica.grpcAddr())
	}
}
