package main

import (
	"context"
	"runtime"
	"time"

	"github.com/bwmarrin/snowflake"
	"github.com/sony/sonyflake/v2"
)

// openBwmarrin opens it with its defaults, which are the layout of idgen's.
func openBwmarrin(context.Context, surroundings) (maker, error) {
	node, err := snowflake.NewNode(1)
	if err != nil {
		return maker{}, err
	}
	return maker{one: func(n int) error {
		var id snowflake.ID
		for range n {
			id = node.Generate()
		}
		runtime.KeepAlive(id)
		return nil
	}}, nil
}

// openSonyflake opens it with its defaults, but for the machine's number, which
// would be the address of a private network, if there is one.
func openSonyflake(context.Context, surroundings) (maker, error) {
	return sony(sonyflake.Settings{MachineID: firstMachine})
}

// openFastSonyflake has 1,048,576 IDs for each millisecond, so that its sequence
// is never the limit. The price is a life of 397 days: 35 bits of milliseconds.
func openFastSonyflake(context.Context, surroundings) (maker, error) {
	return sony(sonyflake.Settings{
		BitsSequence: 20, BitsMachineID: 8, TimeUnit: time.Millisecond,
		StartTime: time.Now().Add(-time.Hour), MachineID: firstMachine,
	})
}

func firstMachine() (int, error) { return 1, nil }

func sony(s sonyflake.Settings) (maker, error) {
	g, err := sonyflake.New(s)
	if err != nil {
		return maker{}, err
	}
	return maker{one: func(n int) error {
		var id int64
		for range n {
			var err error
			if id, err = g.NextID(); err != nil {
				return err
			}
		}
		runtime.KeepAlive(id)
		return nil
	}}, nil
}
