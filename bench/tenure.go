package main

import "github.com/latchkey-go/latchkey/core"

// tenureZero is strict order over processes. Nil leaves that contender out:
// core does not have the option yet.
var tenureZero core.Option // = core.Tenure(0)
